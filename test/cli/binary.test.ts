import { spawn } from "node:child_process";
import { access, constants, mkdir, readFile } from "node:fs/promises";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { openTarget } from "../../src/cli/target.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { blobKey } from "../../src/store/layout.ts";
import { putManifest, putText, temporaryFolder, type TemporaryFolder } from "./support.ts";

let temporary: TemporaryFolder;
let stateFolder: string;
let damaged: string;
beforeAll(async () => {
  temporary = await temporaryFolder();
  stateFolder = path.join(temporary.folder, "state");
  await mkdir(path.join(temporary.folder, "elsewhere"));
  const target = await openTarget({ remote: false, stateFolder });
  const graph = await putText(target.bucket, "whole");
  await putManifest(target.bucket, { name: "whole", graph });
  const { digest, bytes } = await putText(target.bucket, "damaged");
  damaged = blobKey(digest);
  await putManifest(target.bucket, { name: "damaged", graph: { digest, bytes } });
  await target.bucket.put(damaged, "DAMAGED");
  await target.close();
});
afterAll(() => temporary?.remove());

/** Runs the package's own binary, in a folder outside of the repository. */
function binary(...words: string[]) {
  return new Promise<{ code: number | null; out: string; err: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(ROOT, "src/cli/nearside.mjs"), ...words], {
      cwd: path.join(temporary.folder, "elsewhere"),
      // Relative to where it is typed.
      env: { ...process.env, NEARSIDE_STATE: "../state" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said = { out: "", err: "" };
    child.stdout.on("data", (chunk) => (said.out += chunk));
    child.stderr.on("data", (chunk) => (said.err += chunk));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...said }));
  });
}

describe("the binary", () => {
  it("is what package.json says, and can be run", async () => {
    const { bin } = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8")) as {
      bin: Record<string, string>;
    };
    expect(bin).toEqual({ nearside: "src/cli/nearside.mjs" });
    await access(path.join(ROOT, "src/cli/nearside.mjs"), constants.X_OK);
  });

  it("prints JSON alone, from a folder named where it was typed, and waits for another run", async () => {
    const [damage, whole] = await Promise.all([
      binary("verify", "damaged", "--json"),
      binary("verify", "whole"),
    ]);
    expect(whole).toEqual({
      code: 0,
      out: "whole 1: whole, 1 blob of 5 B\n",
      err: "whole 1: reading graph, 5 B\n",
    });
    expect(damage).toMatchObject({ code: 1, err: "" });
    expect(JSON.parse(damage.out)).toMatchObject({
      whole: false,
      versions: [{ parts: [{ state: "altered", digest: damaged.slice("blobs/".length) }] }],
    });
  });

  it("exits with 2 for words that make no sense, and says so on the error stream", async () => {
    const { code, out, err } = await binary("modles");
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain('Did you mean "models"?');
  });
});
