import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type LocalStore, openLocalStore } from "../../../src/cli/local-store.ts";
import { blobKey, CATALOG_SOURCE_KEY, manifestKey } from "../../../src/store/layout.ts";
import { MemoryBucket, MemoryNamespace } from "../../support/memory-bucket.ts";
import {
  emptyBucket,
  putCatalog,
  putManifest,
  putText,
  refOf,
  say,
  sayJson,
  temporaryFolder,
  type TemporaryFolder,
} from "../support.ts";

let temporary: TemporaryFolder;
let store: LocalStore;
beforeAll(async () => {
  temporary = await temporaryFolder();
  store = await openLocalStore(temporary.folder);
});
afterAll(async () => {
  await store?.stop();
  await temporary?.remove();
});
beforeEach(() => emptyBucket(store.bucket));

const keyOf = (text: string) => blobKey(refOf(text).digest);

async function keysOf({ bucket }: Pick<LocalStore, "bucket">): Promise<string[]> {
  return (await bucket.list()).objects.map(({ key }) => key);
}

describe("nearside verify", () => {
  async function publishTwo() {
    const { bucket } = store;
    const graph = await putText(bucket, "graph");
    await putManifest(bucket, { name: "alpha", graph });
    await putManifest(bucket, {
      name: "alpha",
      version: 2,
      graph,
      weights: { name: "weights.bin", ...(await putText(bucket, "weights")) },
      snapshot: { ...(await putText(bucket, "snapshot")), runtime: "e".repeat(64) },
      assets: { tokenizer: await putText(bucket, "tokenizer") },
    });
  }

  it("finds a whole model whole, reading what versions share once", async () => {
    await publishTwo();
    const { out, err, exitCode } = await say(store, "verify", "alpha");
    expect(out).toBe("alpha 1: whole, 1 blob of 5 B\nalpha 2: whole, 4 blobs of 29 B\n");
    expect(err.match(/reading/g)).toHaveLength(4);
    expect(exitCode).toBe(0);
  });

  const DAMAGES: [string, string, string, (key: string) => Promise<unknown>][] = [
    ["graph", "graph", "altered", (key) => store.bucket.put(key, "grapf")],
    ["weights", "weights", "missing", (key) => store.bucket.delete(key)],
    ["snapshot", "snapshot", "altered", (key) => store.bucket.put(key, "snap")],
    ["asset tokenizer", "tokenizer", "altered", (key) => store.bucket.put(key, "")],
  ];

  it.each(DAMAGES)("names the %s (%s) that is %s, and exits with 1", async (...damage) => {
    const [part, text, state, harm] = damage;
    await publishTwo();
    await harm(keyOf(text));
    const { out, exitCode } = await say(store, "verify", "alpha", "--version", "2");
    expect(out).toBe(
      `alpha 2: damaged\n  ${part}  ${state}  ${keyOf(text)}\n` +
        "Mend it with `nearside verify alpha --drop`, then publish it again.\n",
    );
    expect(exitCode).toBe(1);
  });

  it("drops what is altered, and nothing else, when it is told to", async () => {
    await publishTwo();
    await store.bucket.put(keyOf("snapshot"), "something else");
    const before = await keysOf(store);
    await say(store, "verify", "alpha", "--drop");
    expect(await keysOf(store)).toEqual(before.filter((key) => key !== keyOf("snapshot")));
    const { out, exitCode } = await say(store, "verify", "alpha");
    expect([out.includes("missing"), exitCode]).toEqual([true, 1]);
  });

  it("tells a program which parts of which versions are damaged", async () => {
    await publishTwo();
    await store.bucket.delete(keyOf("tokenizer"));
    const { value, err, exitCode } = await sayJson(store, "verify", "alpha");
    expect(value).toMatchObject({
      name: "alpha",
      whole: false,
      versions: [
        { version: 1, whole: true, parts: [{ part: "graph", state: "whole" }] },
        {
          version: 2,
          whole: false,
          parts: [
            { part: "graph", state: "whole" },
            { part: "weights", state: "whole" },
            { part: "snapshot", state: "whole" },
            { part: "asset tokenizer", state: "missing", ...refOf("tokenizer") },
          ],
        },
      ],
    });
    expect([err, exitCode]).toEqual(["", 1]);
  });

  it("looks at the version that it is asked for", async () => {
    await publishTwo();
    await store.bucket.delete(keyOf("weights"));
    expect(await say(store, "verify", "alpha", "--version", "1")).toMatchObject({ exitCode: 0 });
    const { err, exitCode } = await say(store, "verify", "alpha", "--version", "7");
    expect(err).toBe("alpha has no version 7; there is 1, 2.\n");
    expect(exitCode).toBe(1);
  });

  it("counts a manifest that can't be read, or is another's, as damage", async () => {
    await store.bucket.put(manifestKey("alpha", 1), "{");
    const other = await putManifest(store.bucket, { name: "beta", graph: refOf("") });
    await store.bucket.put(manifestKey("alpha", 2), JSON.stringify(other));
    const { out, exitCode } = await say(store, "verify", "alpha");
    expect(out).toBe(
      "alpha 1: the manifest is no manifest that can be read\nalpha 2: the manifest calls itself beta 1\n",
    );
    expect(exitCode).toBe(1);
  });
});

const MINUTE = 60_000;

/** A bucket whose objects are as old as `put` says. */
function agedStore() {
  let minutes = 0;
  const bucket = new MemoryBucket(() => Date.now() - minutes * MINUTE);
  return {
    store: { bucket, namespace: new MemoryNamespace() },
    bucket,
    async put(text: string, age: number) {
      minutes = age;
      return putText(bucket, text);
    },
  };
}

describe("nearside gc", () => {
  it("removes nothing unless it is told to", async () => {
    await putText(store.bucket, "left behind");
    const { out, exitCode } = await say(store, "gc", "--older-than", "0");
    expect(out).toContain(`No manifest names 1 blob of 11 B:\n  ${keyOf("left behind")}  11 B\n`);
    expect(out).toContain("Nothing is removed; `npx nearside gc --delete` does that.");
    expect(exitCode).toBe(0);
    expect(await keysOf(store)).toEqual([keyOf("left behind")]);
  });

  it("removes what no manifest names, and nothing else", async () => {
    const { bucket } = store;
    const ref = (text: string) => putText(bucket, text);
    const listed = await putManifest(bucket, {
      name: "alpha",
      graph: await ref("graph"),
      weights: { name: "weights.bin", ...(await ref("weights")) },
      snapshot: { ...(await ref("snapshot")), runtime: "e".repeat(64) },
      assets: { tokenizer: await ref("tokenizer"), labels: await ref("labels") },
    });
    await putManifest(bucket, { name: "unlisted", graph: await ref("of no catalog") });
    await putCatalog(bucket, [listed]);
    await bucket.put("blobs/readme.txt", "not ours");
    await bucket.put("else/where", "not ours");
    const kept = await keysOf(store);
    await ref("left behind");
    await ref("left behind too");
    const { out, exitCode } = await say(store, "gc", "--delete", "--older-than", "0");
    expect(out).toMatch(/^Removed 2 blobs of 26 B that no manifest names:\n/);
    expect(exitCode).toBe(0);
    expect(await keysOf(store)).toEqual(kept);
    expect(await say(store, "verify", "alpha")).toMatchObject({ exitCode: 0 });
    const again = await say(store, "gc", "--delete", "--older-than", "0");
    expect(again.out).toBe("Nothing to remove.\n");
  });

  it("keeps what a field names that this version does not know", async () => {
    const { bucket } = store;
    const future = await putText(bucket, "of the future");
    const manifest = { schema: 2, name: "alpha", shards: [{ deep: future }] };
    await bucket.put(manifestKey("alpha", 1), JSON.stringify(manifest));
    await say(store, "gc", "--delete", "--older-than", "0");
    expect(await bucket.head(blobKey(future.digest))).not.toBeNull();
  });

  it("removes nothing while a manifest is damaged", async () => {
    await putText(store.bucket, "left behind");
    await store.bucket.put(manifestKey("alpha", 1), '{"graph":');
    const { err, exitCode } = await say(store, "gc", "--delete", "--older-than", "0");
    expect(err).toContain("models/alpha/1/manifest.json is damaged");
    expect(exitCode).toBe(1);
    expect(await keysOf(store)).toContain(keyOf("left behind"));
  });

  it("keeps what is younger than an hour, and says so", async () => {
    const aged = agedStore();
    await aged.put("old", 61);
    await aged.put("young", 59);
    const { value } = await sayJson(aged.store, "gc", "--delete");
    expect(value).toMatchObject({
      deleted: true,
      bytes: 3,
      blobs: [{ key: keyOf("old"), bytes: 3 }],
      kept: { young: 1, bytes: 5 },
    });
    expect(await keysOf(aged)).toEqual([keyOf("young")]);
    const { out } = await say(aged.store, "gc");
    expect(out).toBe(
      "Nothing to remove.\nKept: 1 blob of 5 B that no manifest names either, but that is younger than 60 minutes.\n",
    );
  });

  it("never takes what the local bucket was just given", async () => {
    await putText(store.bucket, "just now");
    await say(store, "gc", "--delete");
    expect(await keysOf(store)).toEqual([keyOf("just now")]);
  });

  it("goes through any number of pages", async () => {
    const aged = agedStore();
    const graph = await aged.put("named", 100);
    await putManifest(aged.bucket, { name: "alpha", graph });
    for (let index = 0; index < 2_100; index++) await aged.put(`blob ${index}`, 100);
    const { value } = await sayJson(aged.store, "gc", "--delete");
    expect(value).toMatchObject({ blobs: { length: 2_100 } });
    expect(await keysOf(aged)).toEqual([blobKey(graph.digest), manifestKey("alpha", 1)]);
  });

  it("keeps a blob whose manifest is written while it looks", async () => {
    const aged = agedStore();
    const graph = await aged.put("on its way", 100);
    const { bucket } = aged;
    const racing = {
      ...aged.store,
      bucket: {
        head: (key: string) => bucket.head(key),
        get: (key: string) => bucket.get(key),
        put: bucket.put.bind(bucket),
        delete: bucket.delete.bind(bucket),
        async list(options: { prefix?: string }) {
          const page = await bucket.list(options);
          if (options.prefix === "blobs/") await putManifest(bucket, { name: "alpha", graph });
          return page;
        },
      },
    };
    await say(racing, "gc", "--delete");
    expect(await bucket.head(blobKey(graph.digest))).not.toBeNull();
  });

  it("does not need the catalog", async () => {
    await store.bucket.put(CATALOG_SOURCE_KEY, "{");
    expect(await say(store, "gc")).toMatchObject({ exitCode: 0 });
  });
});
