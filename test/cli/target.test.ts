import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { startBridge } from "../../src/cli/bridge/server.ts";
import { openRemoteTarget } from "../../src/cli/remote-target.ts";
import { lockState, tryLock, wipeState } from "../../src/cli/state-lock.ts";
import { openTarget } from "../../src/cli/target.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { MemoryBucket, MemoryNamespace } from "../support/memory-bucket.ts";
import { type TemporaryFolder, temporaryFolder } from "./support.ts";

let temporary: TemporaryFolder;
let folder: string;
beforeEach(async () => {
  temporary = await temporaryFolder();
  folder = path.join(temporary.folder, "state");
});
afterEach(() => temporary.remove());

const local = (command = "nearside test", waitMs = 0) =>
  openTarget({ remote: false, stateFolder: folder, command, waitMs });

/** The process id of a program that has ended. */
const DEAD = spawnSync(process.execPath, ["--version"]).pid;

function holderOf(pid: number): string {
  return JSON.stringify({ pid, command: "npm start", id: randomUUID() });
}

describe("the local target", () => {
  it("keeps what one run wrote for the next", async () => {
    const first = await local();
    await first.bucket.put("a", "kept");
    await first.namespace.put("catalog", "{}");
    await first.close();
    const second = await local();
    expect(await (await second.bucket.get("a"))?.text()).toBe("kept");
    expect(second.where).toBe("the local bucket");
    await second.close();
  });

  it("refuses a second run at once, and names the first", async () => {
    const first = await local("nearside gc");
    await expect(local()).rejects.toThrow(
      `The local bucket is in use by \`nearside gc\` (process ${process.pid})`,
    );
    await first.close();
    await (await local()).close();
  });

  it("says so while the stack that will serve it is getting ready", async () => {
    const lock = await lockState(folder, "npm start", 0);
    await expect(local()).rejects.toThrow(
      `\`npm start\` (process ${process.pid}) is still getting ready.`,
    );
    await lock.release();
  });

  it("waits for a run that ends in time", async () => {
    const { lock } = (await tryLock(folder, "nearside gc")) as { lock: { release(): unknown } };
    const second = local("nearside verify", 30_000);
    await lock.release();
    const target = await second;
    expect(target.where).toBe("the local bucket");
    await target.close();
  });

  it("asks a stack that runs, and opens nothing", async () => {
    await mkdir(folder);
    const stack = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
    const held = await lockState(folder, "npm start", 0);
    const bridge = await startBridge(stack, folder);
    const [one, two] = await Promise.all([local(), local()]);
    await one.bucket.put("a", "one");
    expect(await (await two.bucket.get("a"))?.text()).toBe("one");
    expect(Object.keys(stack.bucket.contents())).toEqual(["a"]);
    expect(one.where).toBe("the local bucket (`npm start` is running)");
    await Promise.all([one.close(), two.close()]);
    expect(await readdir(folder)).toEqual(["lock", "stack.json"]);
    await bridge.stop();
    await held.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it("ignores an announcement whose port is somebody else's by now", async () => {
    await mkdir(folder);
    const stack = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
    const bridge = await startBridge(stack, folder);
    const stale = { pid: DEAD, port: bridge.port, token: "0".repeat(64) };
    await writeFile(path.join(folder, "stack.json"), JSON.stringify(stale));
    const target = await local();
    expect(target.where).toBe("the local bucket");
    await target.close();
    await bridge.stop();
  });
});

describe("the remote target", () => {
  it("is refused while wrangler.toml names no namespace of an account", async () => {
    const config = path.join(temporary.folder, "wrangler.toml");
    await writeFile(
      config,
      `name = "x"
compatibility_date = "2026-10-01"
[[r2_buckets]]
binding = "MODELS"
bucket_name = "nearside-models"
[[kv_namespaces]]
binding = "CATALOG"
id = "nearside-catalog"
`,
    );
    await expect(openRemoteTarget(config)).rejects.toThrow(
      /^wrangler\.toml names no namespace of an account.*npx wrangler kv namespace create/,
    );
  });
});

describe("the state's lock", () => {
  it("lets one of many have it, each in turn", async () => {
    let inside = 0;
    let most = 0;
    const turns = Array.from({ length: 5 }, async (_, index) => {
      const lock = await lockState(folder, `turn ${index}`, 30_000);
      most = Math.max(most, ++inside);
      await readdir(folder);
      inside--;
      await lock.release();
    });
    await Promise.all(turns);
    expect(most).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it("that a dead process left goes to exactly one of those who find it", async () => {
    await mkdir(folder);
    await writeFile(path.join(folder, "lock"), holderOf(DEAD));
    const attempts = await Promise.all(
      Array.from({ length: 8 }, (_, index) => tryLock(folder, `heir ${index}`)),
    );
    const winners = attempts.filter((attempt) => "lock" in attempt);
    expect(winners).toHaveLength(1);
    const { command } = JSON.parse(await readFile(path.join(folder, "lock"), "utf8")) as {
      command: string;
    };
    const seen = attempts.flatMap((attempt) =>
      "holder" in attempt ? [attempt.holder.command] : [],
    );
    expect(seen).toEqual(Array(7).fill(command));
    expect(await readdir(folder)).toEqual(["lock"]);
  });

  it("that a dead process left while it removed another's is no obstacle", async () => {
    await mkdir(folder);
    const dead = holderOf(DEAD);
    const { id } = JSON.parse(dead) as { id: string };
    await writeFile(path.join(folder, "lock"), dead);
    await writeFile(path.join(folder, `lock.${id}`), holderOf(DEAD));
    await (await lockState(folder, "heir", 0)).release();
    expect(await readdir(folder)).toEqual([]);
  });

  it("that can't be read is named", async () => {
    await mkdir(folder);
    await writeFile(path.join(folder, "lock"), "{");
    await expect(lockState(folder, "x", 0)).rejects.toThrow(UserError);
    await expect(lockState(folder, "x", 0)).rejects.toThrow(path.join(folder, "lock"));
  });

  it("stays when the state is wiped", async () => {
    const lock = await lockState(folder, "npm start", 0);
    await mkdir(path.join(folder, "r2"));
    await writeFile(path.join(folder, "r2", "blob"), "");
    await writeFile(path.join(folder, "stack.json"), "{}");
    await wipeState(folder);
    expect(await readdir(folder)).toEqual(["lock"]);
    await lock.release();
  });
});
