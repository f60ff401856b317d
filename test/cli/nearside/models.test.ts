import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { GateReport } from "../../../src/catalog/manifest.ts";
import { type LocalStore, openLocalStore } from "../../../src/cli/local-store.ts";
import { CATALOG_SOURCE_KEY, manifestKey } from "../../../src/store/layout.ts";
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

const GATE: GateReport = {
  operators: { MatMul: 3 },
  opset: 17,
  quantization: "int8",
  fixtures: "4: fixtures.json",
  comparison: { cosine: 0.991, largestDifference: 0.5, classAgreement: 1, equality: 1 },
  thresholds: { cosine: 0.98 },
  bytes: { source: 10, graph: 5, weights: 7, snapshot: 0 },
  heapBytes: 16_777_216,
  coldMs: 12.5,
  warmMs: 1.5,
};

/** Two versions of `alpha`, one of `beta`, and one that no catalog lists. */
async function publishSome() {
  const { bucket } = store;
  const shared = await putText(bucket, "a graph");
  const first = await putManifest(bucket, { name: "alpha", graph: shared, licence: "MIT" });
  const second = await putManifest(bucket, {
    name: "alpha",
    version: 2,
    graph: shared,
    weights: { name: "weights.bin", ...(await putText(bucket, "w".repeat(1_234_567))) },
    snapshot: { ...(await putText(bucket, "s".repeat(2_000))), runtime: "e".repeat(64) },
    assets: { tokenizer: await putText(bucket, "some words") },
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
    memory: { heapBytes: 20_000_000, taskBytes: 1_500_000 },
    gate: GATE,
  });
  const beta = await putManifest(bucket, { name: "beta", graph: shared });
  await putManifest(bucket, { name: "gamma", graph: shared });
  await putCatalog(bucket, [first, second, beta], { alpha: { canary: 2, "a-b": 1 } });
}

describe("nearside models", () => {
  it("says how to publish when there is nothing", async () => {
    const { out, exitCode } = await say(store, "models");
    expect(out).toMatch(/^No model is published in the local bucket\. .*publish --help/);
    expect(exitCode).toBe(0);
    expect((await sayJson(store, "models")).value).toEqual({ models: [] });
  });

  it("lists versions, labels and sizes for a person", async () => {
    await publishSome();
    const { out, err, exitCode, opened, closed } = await say(store, "models");
    expect(out).toBe(
      `model  version  labels       size    memory   task    licence
alpha  1        stable, a-b  7 B     16.8 MB  tensor  MIT
       2        canary       1.2 MB  21.5 MB  tensor  MIT
beta   1        stable       7 B     16.8 MB  tensor  MIT
gamma  1        -            7 B     16.8 MB  tensor  MIT; not served
`,
    );
    expect([err, exitCode, opened, closed]).toEqual(["", 0, 1, 1]);
  });

  it("lists the same for a program", async () => {
    await publishSome();
    const { value } = await sayJson(store, "models");
    const common = { task: "tensor", licence: "MIT", memoryBytes: 16_777_216, bytes: 7 };
    expect(value).toEqual({
      models: [
        {
          name: "alpha",
          stable: 1,
          versions: [
            { ...common, version: 1, labels: ["stable", "a-b"], served: true },
            {
              ...common,
              version: 2,
              labels: ["canary"],
              served: true,
              bytes: 1_236_584,
              memoryBytes: 21_500_000,
            },
          ],
        },
        {
          name: "beta",
          stable: 1,
          versions: [{ ...common, version: 1, labels: ["stable"], served: true }],
        },
        {
          name: "gamma",
          stable: null,
          versions: [{ ...common, version: 1, labels: [], served: false }],
        },
      ],
    });
  });

  it("names manifests that are damaged, borrowed or gone", async () => {
    const damaged = await putManifest(store.bucket, { name: "damaged" });
    const gone = await putManifest(store.bucket, { name: "gone", version: 3 });
    await putCatalog(store.bucket, [damaged, gone]);
    await store.bucket.delete(manifestKey("gone", 3));
    await store.bucket.put(manifestKey("damaged", 1), "{");
    await store.bucket.put(manifestKey("borrowed", 1), JSON.stringify(damaged));
    const { out } = await say(store, "models");
    expect(out).toMatch(/^borrowed +1 .*not served; its manifest calls itself damaged 1$/m);
    expect(out).toMatch(/^damaged +1 +stable .*its manifest is no manifest that can be read$/m);
    expect(out).toMatch(/^gone +3 +stable .*its manifest is missing$/m);
  });

  it("fails in a sentence when the catalog is damaged", async () => {
    await store.bucket.put(CATALOG_SOURCE_KEY, "{}");
    const { out, err, exitCode, closed } = await say(store, "models");
    expect(err).toBe("catalog.json in the bucket is no catalog that can be read.\n");
    expect([out, exitCode, closed]).toEqual(["", 1, 1]);
  });
});

describe("nearside models show", () => {
  it("shows every part of every version", async () => {
    await publishSome();
    const { out, exitCode } = await say(store, "models", "show", "alpha");
    expect(out).toContain("version 1 (stable, a-b)\n");
    expect(out).toContain("version 2 (canary)\n");
    expect(out).toContain("inputs       x FP32[?×4]\n");
    expect(out).toContain("memory       21.5 MB: 20.0 MB of WASM, 1.5 MB of the task's tables\n");
    const { digest } = refOf("some words");
    expect(out).toMatch(new RegExp(`^    asset tokenizer +10 B +${digest}$`, "m"));
    expect(out).toMatch(/^ {4}weights +1\.2 MB +[0-9a-f]{64}$/m);
    expect(out).toMatch(/^ {4}snapshot +2\.0 kB +[0-9a-f]{64}$/m);
    expect(out).toMatch(/ {2}gate\n {4}fixtures +4: fixtures\.json\n/);
    expect(exitCode).toBe(0);
  });

  it("shows the same to a program, the gate's report as it is stored", async () => {
    await publishSome();
    const { value } = await sayJson(store, "models", "show", "alpha");
    expect(value).toMatchObject({
      name: "alpha",
      versions: [
        { version: 1, labels: ["stable", "a-b"], parts: [{ part: "graph", ...refOf("a graph") }] },
        {
          version: 2,
          served: true,
          licence: "MIT",
          task: "tensor",
          bytes: 1_236_584,
          memory: { heapBytes: 20_000_000, taskBytes: 1_500_000 },
          runtime: "e".repeat(64),
          gate: GATE,
        },
      ],
    });
  });

  it("says that a version is not served, or that its manifest is damaged", async () => {
    await putManifest(store.bucket, { name: "alpha" });
    await store.bucket.put(manifestKey("alpha", 2), "[]");
    const { out } = await say(store, "models", "show", "alpha");
    expect(out).toContain("version 1, not served: the catalog does not list it\n");
    expect(out).toContain("its manifest is no manifest that can be read\n");
  });

  it("guesses which model was meant", async () => {
    await publishSome();
    const { err, exitCode } = await say(store, "models", "show", "aplha");
    expect(err).toBe('There is no model "aplha" in the local bucket. Did you mean "alpha"?\n');
    expect(exitCode).toBe(1);
  });
});
