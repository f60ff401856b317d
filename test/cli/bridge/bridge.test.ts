import { readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { readAnnouncement } from "../../../src/cli/bridge/announcement.ts";
import { answers, connectBridge } from "../../../src/cli/bridge/client.ts";
import { type Bridge, startBridge } from "../../../src/cli/bridge/server.ts";
import { type LocalStore, openLocalStore } from "../../../src/cli/local-store.ts";
import { UserError } from "../../../src/cli/user-error.ts";
import type { PublishBucket, PublishTarget } from "../../../src/publish/bucket.ts";
import { MemoryBucket, MemoryNamespace } from "../../support/memory-bucket.ts";
import { type TemporaryFolder, temporaryFolder } from "../support.ts";

let temporary: TemporaryFolder;
let store: LocalStore;
let bridge: Bridge;
let bridged: PublishTarget;
beforeAll(async () => {
  temporary = await temporaryFolder();
  store = await openLocalStore(temporary.folder);
  bridge = await startBridge(store, temporary.folder);
  bridged = connectBridge({ pid: process.pid, port: bridge.port, token: bridge.token });
});
afterAll(async () => {
  await bridge?.stop();
  await store?.stop();
  await temporary?.remove();
});

const BUCKETS: [string, () => PublishBucket][] = [
  ["the tests' bucket", () => new MemoryBucket()],
  ["the local bucket", () => store.bucket],
  ["the local bucket over the bridge", () => bridged.bucket],
];

describe.each(BUCKETS)("%s", (name, open) => {
  /** The local bucket is behind two of them. */
  const at = (key: string) => `${name}/${key}`;

  it("lists what starts with a prefix, in the order of keys, page by page", async () => {
    const bucket = open();
    const before = Date.now();
    for (const key of ["b", "a", "c", "A", "ä"]) await bucket.put(at(`list/${key}`), key);
    await bucket.put(at("lisp"), "");
    const keys: string[] = [];
    let pages = 0;
    let cursor: string | undefined;
    do {
      const page = await bucket.list({ prefix: at("list/"), limit: 2, ...(cursor && { cursor }) });
      for (const { key, size, uploaded } of page.objects) {
        keys.push(key);
        expect(size).toBe(new TextEncoder().encode(key.at(-1)).length);
        expect(Math.abs(uploaded.getTime() - before)).toBeLessThan(60_000);
      }
      pages++;
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined);
    expect(keys).toEqual(["A", "a", "b", "c", "ä"].map((key) => at(`list/${key}`)));
    expect(pages).toBe(3);
  });

  it("lists nothing where nothing is", async () => {
    expect(await open().list({ prefix: at("none/") })).toMatchObject({
      objects: [],
      truncated: false,
    });
  });

  it("deletes one key, several, and what is not there", async () => {
    const bucket = open();
    for (const key of ["a", "b", "c", "d"]) await bucket.put(at(`delete/${key}`), key);
    await bucket.delete(at("delete/a"));
    await bucket.delete([at("delete/b"), at("delete/c"), at("delete/none")]);
    const { objects } = await bucket.list({ prefix: at("delete/") });
    expect(objects.map(({ key }) => key)).toEqual([at("delete/d")]);
  });

  it("has nothing where nothing was put", async () => {
    expect(await open().head(at("none"))).toBeNull();
    expect(await open().get(at("none"))).toBeNull();
  });

  it("keeps 5 MB of any bytes", async () => {
    const bytes = Uint8Array.from({ length: 5_000_000 }, (_, index) => (index * 31) >> 3);
    const bucket = open();
    await bucket.put(at("large"), bytes);
    expect(await bucket.head(at("large"))).toMatchObject({ size: 5_000_000 });
    const stored = Buffer.from((await (await bucket.get(at("large")))?.arrayBuffer()) ?? []);
    expect(stored.equals(bytes)).toBe(true);
  });

  it("writes only if absent, and only over what was read", async () => {
    const bucket = open();
    const key = at("conditions");
    const absent = { onlyIf: { etagDoesNotMatch: "*" } };
    expect(await bucket.put(key, "one", absent)).not.toBeNull();
    expect(await bucket.put(key, "two", absent)).toBeNull();
    const etagMatches = (await bucket.get(key))?.etag ?? "";
    expect(etagMatches).toBe("f97c5d29941bfb1b2fdab0874906ab82");
    expect(await bucket.put(key, "two", { onlyIf: { etagMatches } })).not.toBeNull();
    expect(await bucket.put(key, "three", { onlyIf: { etagMatches } })).toBeNull();
    expect(await (await bucket.get(key))?.text()).toBe("two");
  });
});

describe("the bridge", () => {
  it("keeps any key and any text as they are", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }),
        fc.string({ unit: "grapheme" }),
        async (key, text) => {
          await bridged.bucket.put(`any/${key}`, text);
          expect(await (await store.bucket.get(`any/${key}`))?.text()).toBe(text);
          expect(await (await bridged.bucket.get(`any/${key}`))?.text()).toBe(text);
        },
      ),
      { numRuns: 15 },
    );
  });

  it("writes to the namespace", async () => {
    const memory = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
    const folder = await temporaryFolder();
    const other = await startBridge(memory, folder.folder);
    const announcement = { pid: process.pid, port: other.port, token: other.token };
    await connectBridge(announcement).namespace.put("catalog", "é");
    expect(memory.namespace.values.get("catalog")).toBe("é");
    await other.stop();
    await folder.remove();
  });

  it("says what the bucket said when it fails", async () => {
    await expect(bridged.bucket.put("k".repeat(2_000), "")).rejects.toThrow(
      /could not PUT \/objects: .*not valid/,
    );
  });

  it.each([
    ["no token", undefined],
    ["a wrong token", `Bearer ${"0".repeat(64)}`],
    ["a token that is cut short", "Bearer 0"],
  ])("refuses %s, whatever is asked", async (_, authorization) => {
    const requests: [string, string][] = [
      ["GET", "/"],
      ["GET", "/list"],
      ["HEAD", "/objects?key=large"],
      ["PUT", "/objects?key=forged"],
      ["POST", "/delete"],
      ["PUT", "/values?key=catalog"],
    ];
    for (const [method, target] of requests) {
      const response = await fetch(`http://127.0.0.1:${bridge.port}${target}`, {
        method,
        ...(authorization !== undefined && { headers: { authorization } }),
      });
      expect([method, target, response.status]).toEqual([method, target, 401]);
    }
    expect(await store.bucket.head("forged")).toBeNull();
  });

  it.each(["/", "/objects", "/nothing", "//"])("has no DELETE %s", async (target) => {
    const response = await fetch(`http://127.0.0.1:${bridge.port}${target}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${bridge.token}` },
    });
    expect(response.status).toBe(400);
  });

  it("is announced to its owner only", async () => {
    const file = path.join(temporary.folder, "stack.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({
      pid: process.pid,
      port: bridge.port,
      token: bridge.token,
    });
    expect(await answers({ pid: process.pid, port: bridge.port, token: bridge.token })).toBe(true);
  });

  it.each([
    ["is no JSON", "{"],
    ["is of another shape", JSON.stringify({ pid: 1, port: "9", token: "0".repeat(64) })],
    ["has no token to speak of", JSON.stringify({ pid: 1, port: 9, token: "" })],
  ])("is not looked for where the announcement %s", async (_, content) => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder.folder, "stack.json"), content);
    expect(await readAnnouncement(folder.folder)).toBeUndefined();
    await folder.remove();
  });

  it("is not taken for one whose process is another's, or gone", async () => {
    const { port, token } = bridge;
    expect(await answers({ pid: process.pid + 1, port, token })).toBe(false);
    expect(await answers({ pid: process.pid, port: 1, token })).toBe(false);
  });

  it("is withdrawn when it stops, and whoever still uses it is told", async () => {
    const folder = await temporaryFolder();
    const other = await startBridge(store, folder.folder);
    const announcement = await readAnnouncement(folder.folder);
    if (announcement === undefined) throw new Error("it is not announced");
    await other.stop();
    expect(await readAnnouncement(folder.folder)).toBeUndefined();
    expect(await answers(announcement)).toBe(false);
    await expect(connectBridge(announcement).bucket.head("a")).rejects.toThrow(UserError);
    await folder.remove();
  });
});
