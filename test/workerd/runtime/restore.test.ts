import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import wasm from "../../../.nearside/runtime/ort.wasm";
import identity from "../../../.nearside/runtime/runtime.json";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { ModelHost } from "../../../src/runtime/host.ts";
import { type LoadedModel, ModelLoader } from "../../../src/runtime/load-model.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";
import { type BlobBucket, BlobStore } from "../../../src/store/blobs.ts";
import { blobCacheUrl, blobKey } from "../../../src/store/layout.ts";
import { edgeOf } from "../../support/edge.ts";
import { putBlob, putCatalog } from "../../support/publish-graph.ts";
import { bytesOf, type CaseIndex, publishCase, readCases } from "../../support/stored-snapshots.ts";

const HEAP = 16_777_216;

const x = (...data: number[]) => [{ name: "x", datatype: "FP32", shape: [1, data.length], data }];

type Bytes = Uint8Array<ArrayBuffer>;

let cases: CaseIndex;
let snapshot: Bytes;
/** Of the plain session. */
let answer: unknown;
let logged: ReturnType<typeof vi.spyOn>;

function caseOf(name: string) {
  const found = cases[name];
  if (found === undefined) throw new Error(`There is no case "${name}".`);
  return found;
}

const uploaded = new Map<string, Promise<Manifest>>();

/** A model called "linear", whichever it is, of which nothing is in the data centre's cache. */
async function publish(overrides: Partial<Manifest> = {}, name = "linear"): Promise<Manifest> {
  const upload = uploaded.get(name) ?? publishCase(env.MODELS, caseOf(name), { name: "linear" });
  uploaded.set(name, upload);
  const manifest = { ...(await upload), ...overrides };
  await putCatalog(env.CATALOG, [manifest]);
  for (const ref of [manifest.graph, manifest.weights, manifest.snapshot]) {
    if (ref !== undefined) await caches.default.delete(blobCacheUrl(ref.digest));
  }
  return manifest;
}

const whole = new Map<string, ArrayBuffer>();

/** Replaces or removes a blob, until the test is over. */
async function damage({ digest }: { digest: string }, bytes?: Bytes): Promise<void> {
  const key = blobKey(digest);
  if (!whole.has(key)) {
    const object = await env.MODELS.get(key);
    if (object !== null) whole.set(key, await object.arrayBuffer());
  }
  if (bytes === undefined) await env.MODELS.delete(key);
  else await env.MODELS.put(key, bytes);
}

const snapshotOf = ({ snapshot: ref }: Manifest) => {
  if (ref === undefined) throw new Error("The manifest has no snapshot.");
  return ref;
};

/** Publishes the model with these bytes as its snapshot, under their own digest. */
async function publishWith(bytes: Bytes): Promise<void> {
  const { runtime } = snapshotOf(await publish());
  const ref = await putBlob(env.MODELS, bytes);
  await publish({ snapshot: { ...ref, runtime } });
}

async function putInCache({ digest }: { digest: string }, bytes: Bytes): Promise<void> {
  const headers = { "cache-control": "max-age=600", "content-length": String(bytes.length) };
  await caches.default.put(blobCacheUrl(digest), new Response(bytes, { headers }));
}

function changed(bytes: Bytes, change: (copy: Bytes, view: DataView) => void): Bytes {
  const copy = bytes.slice();
  change(copy, new DataView(copy.buffer));
  return copy;
}

const flipped = (bytes: Bytes, at: number, bit = 0): Bytes =>
  changed(bytes, (copy) => {
    copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  });

function longer(bytes: Bytes, more: number): Bytes {
  const copy = new Uint8Array(bytes.length + more);
  copy.set(bytes);
  return copy;
}

async function ask(edge = edgeOf()) {
  const response = await edge.infer("linear", x(1, 2));
  const { outputs, code } = await response.json<{ outputs?: unknown; code?: string }>();
  const start = response.headers.get("nearside-start");
  return { status: response.status, start, outputs, code, headers: response.headers };
}

beforeAll(async () => {
  cases = await readCases();
  snapshot = await bytesOf(caseOf("linear").snapshot);
  const { snapshot: _, ...plain } = await publish();
  await putCatalog(env.CATALOG, [plain]);
  const { start, outputs } = await ask();
  if (start !== "loaded") throw new Error(`The plain model is ${start}.`);
  answer = outputs;
});

beforeEach(() => {
  logged = vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(async () => {
  vi.restoreAllMocks();
  for (const [key, bytes] of whole) await env.MODELS.put(key, bytes);
  whole.clear();
});

const row = (...data: number[]): Record<string, Tensor> => ({
  x: { datatype: "FP32", shape: [1, data.length], data: Float32Array.from(data) },
});

/** A host with a loader of its own, to look into. */
function hostOf(bucket: BlobBucket) {
  const prepared: string[][] = [];
  const loader = new ModelLoader({
    runtime: { wasm, digest: identity.digest, startup: identity.startup },
    blobs: new BlobStore(bucket),
    prepare: (_, assets) => prepared.push(Object.keys(assets)),
  });
  const host = new ModelHost<LoadedModel>({
    budgetBytes: 100e6,
    stallMs: 20,
    load: (manifest, context) => loader.load(manifest, context),
  });
  const background: Promise<unknown>[] = [];
  const use = (manifest: Manifest, feeds = row(1, 2)): Promise<unknown> =>
    host.use(
      manifest,
      { now: () => Date.now(), waitUntil: (promise) => void background.push(promise) },
      ({ session }, start) => [start, session.run(feeds)["y"]?.data],
    );
  return { loader, host, prepared, use, background: () => Promise.all(background) };
}

describe("a model with a snapshot", () => {
  it("is restored for the first request, and warm for the next", async () => {
    await publish();
    const edge = edgeOf();
    const first = await ask(edge);
    expect([first.start, first.outputs]).toEqual(["restored", answer]);
    expect(edge.calls).toEqual(["CATALOG.get", "MODELS.get"]);
    const timing = first.headers.get("server-timing");
    for (const phase of ["start", "copy"]) expect(timing).toMatch(new RegExp(`\\b${phase};dur=`));
    expect(timing).not.toContain("create;");
    edge.calls.length = 0;
    const second = await ask(edge);
    expect([second.start, second.outputs]).toEqual(["warm", answer]);
    expect(edge.calls).toEqual([]);
    expect(edge.isolate.loader.stats).toEqual({ restored: 1, loaded: 0, fallbacks: {} });
    expect(edge.isolate.host.stats().heldBytes).toBe(caseOf("linear").memoryBytes);
    expect(logged).not.toHaveBeenCalled();
  });

  it("is restored in the next isolate of the data centre without the bucket", async () => {
    await publish();
    await ask();
    const edge = edgeOf();
    expect((await ask(edge)).start).toBe("restored");
    expect(edge.calls).toEqual(["CATALOG.get"]);
  });

  it("is restored once for twenty simultaneous first requests", async () => {
    await publish();
    const edge = edgeOf();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(edge)));
    for (const { outputs } of answers) expect(outputs).toEqual(answer);
    expect(edge.isolate.loader.stats).toEqual({ restored: 1, loaded: 0, fallbacks: {} });
  });

  it("needs no graph and no weights to be restored", async () => {
    const { graph, weights } = await publish({}, "weighted");
    for (const ref of [graph, weights]) if (ref !== undefined) await damage(ref);
    const response = await edgeOf().infer("linear", x(...Array<number>(32).fill(1)));
    expect([response.status, response.headers.get("nearside-start")]).toEqual([200, "restored"]);
  });
});

/** As they are published: whoever made them, their digest is right. */
const UNFIT: readonly (readonly [string, string, () => Bytes | Promise<Bytes>])[] = [
  ["has another runtime in its header", "wrong_runtime", () => flipped(snapshot, 20)],
  ["has a format that is not known here", "unknown_format", () => flipped(snapshot, 8)],
  ["is no snapshot", "not_a_snapshot", () => bytesOf(caseOf("linear").graph)],
  ["is empty", "wrong_length", () => new Uint8Array()],
  ["ends in its prefix", "wrong_length", () => snapshot.slice(0, 9)],
  ["ends in its header", "wrong_length", () => snapshot.slice(0, 150)],
  ["lacks its last byte", "wrong_length", () => snapshot.slice(0, -1)],
  ["has a byte too many", "wrong_length", () => longer(snapshot, 1)],
  ["counts its tables wrong", "malformed", () => flipped(snapshot, 144)],
  ["needs more memory than there can be", "memory_refused", () => flipped(snapshot, 130, 3)],
  ["is of a model with other names", "wrong_model", () => bytesOf(caseOf("gather").snapshot)],
  [
    "is of a model with the same names and other weights",
    "wrong_model",
    () => bytesOf(caseOf("weighted").snapshot),
  ],
  [
    "says that it is of this model, and has other names in its memory",
    "wrong_model",
    async () => {
      const other = await bytesOf(caseOf("gather").snapshot);
      return changed(other, (copy) => copy.set(snapshot.subarray(48, 112), 48));
    },
  ],
];

describe("a snapshot that is no use", () => {
  it.each(UNFIT)("%s: the graph answers, %s is counted and logged", async (_, fault, bytes) => {
    await publishWith(await bytes());
    const edge = edgeOf();
    const { start, outputs } = await ask(edge);
    expect([start, outputs]).toEqual(["loaded", answer]);
    expect(edge.isolate.loader.stats).toEqual({
      restored: 0,
      loaded: 1,
      fallbacks: { [fault]: 1 },
    });
    expect(logged).toHaveBeenCalledOnce();
    expect(JSON.parse(String(logged.mock.calls[0]?.[0]))).toMatchObject({
      event: "snapshot_fallback",
      model: "linear",
      fault,
    });
    expect(edge.isolate.host.stats().heldBytes).toBe(HEAP);
    expect((await ask(edge)).start).toBe("warm");
  });

  it("is not even fetched when the manifest names another runtime", async () => {
    const { snapshot: ref } = await publish();
    await publish({ snapshot: { digest: "", bytes: 0, ...ref, runtime: "0".repeat(64) } });
    const edge = edgeOf();
    const { start, outputs } = await ask(edge);
    expect([start, outputs]).toEqual(["loaded", answer]);
    expect(edge.calls).toEqual(["CATALOG.get", "MODELS.get"]);
    expect(edge.isolate.loader.stats.fallbacks).toEqual({ wrong_runtime: 1 });
  });

  it("needs more memory than the budget has: the graph answers in less", async () => {
    await publish({ memory: { heapBytes: HEAP, taskBytes: 0 } }, "outer-large");
    expect(caseOf("outer-large").memoryBytes).toBeGreaterThan(20e6);
    const edge = edgeOf({ MODEL_BUDGET_BYTES: "20000000" });
    const tensor = { name: "x", datatype: "FP32", shape: [2, 1], data: [2, 3] };
    const response = await edge.infer("linear", [tensor]);
    expect(response.headers.get("nearside-start")).toBe("loaded");
    expect(await response.json()).toMatchObject({ outputs: [{ data: [4, 6, 6, 9] }] });
    expect(edge.isolate.loader.stats.fallbacks).toEqual({ memory_refused: 1 });
    expect(edge.isolate.host.stats().heldBytes).toBe(HEAP);
  });

  it("has its assets read and parsed once, not again for the graph", async () => {
    const assets = { labels: await putBlob(env.MODELS, Uint8Array.of(1, 2, 3)) };
    const manifest = await publish({ assets });
    await damage(snapshotOf(manifest), flipped(snapshot, 2_000_000));
    const reads: string[] = [];
    const { loader, prepared, use } = hostOf({
      get(key) {
        reads.push(key);
        return env.MODELS.get(key);
      },
    });
    expect(await use(manifest)).toMatchObject(["loaded", {}]);
    expect(prepared).toEqual([["labels"]]);
    expect(reads.filter((key) => key === blobKey(assets.labels.digest))).toHaveLength(1);
    expect(loader.stats.fallbacks).toEqual({ model_damaged: 1 });
  });
});

describe("a snapshot damaged in the bucket", () => {
  const DAMAGES: readonly (readonly [string, (bytes: Bytes) => Bytes | undefined])[] = [
    ["gone", () => undefined],
    ["truncated", (bytes) => bytes.slice(0, -5000)],
    ["longer", (bytes) => longer(bytes, 4096)],
    ["empty", () => new Uint8Array()],
  ];

  it.each(DAMAGES)("%s: the graph answers", async (_, damaged) => {
    const ref = snapshotOf(await publish());
    await damage(ref, damaged(snapshot));
    const edge = edgeOf();
    const { start, outputs } = await ask(edge);
    expect([start, outputs]).toEqual(["loaded", answer]);
    expect(edge.isolate.loader.stats.fallbacks).toEqual({ model_damaged: 1 });
    expect(await caches.default.match(blobCacheUrl(ref.digest))).toBeUndefined();
  });

  it("in any one bit: the graph answers", async () => {
    const ref = snapshotOf(await publish());
    await fc.assert(
      fc.asyncProperty(fc.nat(snapshot.length - 1), fc.nat(7), async (at, bit) => {
        await damage(ref, flipped(snapshot, at, bit));
        const edge = edgeOf();
        const { start, outputs } = await ask(edge);
        expect([start, outputs]).toEqual(["loaded", answer]);
        expect(edge.isolate.loader.stats.fallbacks).toEqual({ model_damaged: 1 });
      }),
      {
        numRuns: 8,
        examples: [
          [0, 0],
          [128, 7],
          [snapshot.length - 1, 3],
        ],
      },
    );
  });

  it("that the bucket fails to deliver: the graph answers, and the next isolate restores", async () => {
    const { digest } = snapshotOf(await publish());
    const failing = new Proxy(env.MODELS, {
      get: (bucket, verb) =>
        verb === "get"
          ? (key: string) =>
              key === blobKey(digest) ? Promise.reject(new Error("down")) : bucket.get(key)
          : Reflect.get(bucket, verb),
    });
    const edge = edgeOf({ MODELS: failing });
    const { start, outputs } = await ask(edge);
    expect([start, outputs]).toEqual(["loaded", answer]);
    expect(edge.isolate.loader.stats.fallbacks).toEqual({ model_unavailable: 1 });
    expect((await ask()).start).toBe("restored");
  });

  it("together with the weights: a coded error, and nothing of the inside", async () => {
    const { weights, snapshot: ref } = await publish({}, "weighted");
    for (const one of [weights, ref]) if (one !== undefined) await damage(one);
    const edge = edgeOf();
    const response = await edge.infer("linear", x(...Array<number>(32).fill(1)));
    expect(response.status).toBe(503);
    const body = await response.text();
    expect(JSON.parse(body)).toMatchObject({ code: "model_damaged" });
    expect(body).not.toContain(ref?.digest);
    expect(edge.isolate.host.stats().heldBytes).toBe(0);
  });

  it("together with the whole bucket: a coded error that says when to come again", async () => {
    await publish();
    const down = { get: () => Promise.reject(new Error("down")) } as unknown as R2Bucket;
    const { status, code, headers } = await ask(edgeOf({ MODELS: down }));
    expect([status, code]).toEqual([503, "model_unavailable"]);
    expect(headers.get("retry-after")).toBe("1");
  });
});

describe("assets that are gone", () => {
  it("fail the model with a code, and are no fault of its snapshot", async () => {
    await publish({ assets: { tokenizer: { digest: "1".repeat(64), bytes: 7 } } });
    const edge = edgeOf();
    const { status, code } = await ask(edge);
    expect([status, code]).toEqual([503, "model_damaged"]);
    expect(edge.isolate.loader.stats).toEqual({ restored: 0, loaded: 0, fallbacks: {} });
  });
});

describe("a snapshot damaged in the data centre's cache", () => {
  /** What two isolates do, one after the other, when the cache has this copy. */
  async function afterCaching(ref: { digest: string }, copy: Bytes) {
    await putInCache(ref, copy);
    const [first, next] = [edgeOf(), edgeOf()];
    const answers = [await ask(first), await ask(next)];
    return {
      starts: answers.map(({ start }) => start),
      answers: answers.map(({ outputs }) => outputs),
      calls: [first.calls, next.calls],
      fallbacks: first.isolate.loader.stats.fallbacks,
    };
  }

  const mended = () => ({
    starts: ["restored", "restored"],
    answers: [answer, answer],
    calls: [["CATALOG.get", "MODELS.get"], ["CATALOG.get"]],
    fallbacks: {},
  });

  const COPIES: readonly (readonly [string, () => Bytes | Promise<Bytes>])[] = [
    ["empty", () => new Uint8Array()],
    ["truncated in its header", () => snapshot.slice(0, 100)],
    ["truncated in its pages", () => snapshot.slice(0, 2_000_000)],
    ["longer", () => longer(snapshot, 4096)],
    ["of another model", () => bytesOf(caseOf("gather").snapshot)],
    ["with a memory beyond every budget", () => flipped(snapshot, 130, 3)],
    ["with tables beyond its header", () => flipped(snapshot, 146, 7)],
  ];

  it.each(COPIES)("%s: it is restored from the bucket, and mended", async (_, copy) => {
    const ref = snapshotOf(await publish());
    expect(await afterCaching(ref, await copy())).toEqual(mended());
  });

  it("in any one bit: it is restored from the bucket, and mended", async () => {
    const ref = snapshotOf(await publish());
    await fc.assert(
      fc.asyncProperty(fc.nat(snapshot.length - 1), fc.nat(7), async (at, bit) => {
        expect(await afterCaching(ref, flipped(snapshot, at, bit))).toEqual(mended());
      }),
      {
        numRuns: 8,
        examples: [
          [12, 4],
          [128, 0],
          [snapshot.length - 1, 7],
        ],
      },
    );
  });

  it("and in the bucket: the graph answers", async () => {
    const ref = snapshotOf(await publish());
    await putInCache(ref, flipped(snapshot, 3_000_000));
    await damage(ref, flipped(snapshot, 2_000_000));
    const edge = edgeOf();
    const { start, outputs } = await ask(edge);
    expect([start, outputs]).toEqual(["loaded", answer]);
    expect(edge.isolate.loader.stats.fallbacks).toEqual({ model_damaged: 1 });
    expect(await caches.default.match(blobCacheUrl(ref.digest))).toBeUndefined();
  });
});

describe("callers of a model that is being restored", () => {
  /** The first read of a blob stands still after `bytes` bytes, as it does when its request is cancelled. */
  function stalling(bytes: number) {
    const first = Promise.withResolvers<void>();
    const stalled = Promise.withResolvers<void>();
    let reads = 0;
    const bucket: BlobBucket = {
      async get(key) {
        const object = await env.MODELS.get(key);
        if (object === null || reads++ > 0) return object;
        const content = new Uint8Array(await object.arrayBuffer());
        const body = new ReadableStream<Uint8Array>({
          async pull(controller) {
            controller.enqueue(content.slice(0, bytes));
            stalled.resolve();
            await first.promise.catch((error: unknown) => controller.error(error));
            controller.enqueue(content.slice(bytes));
            controller.close();
          },
        });
        return { body, size: object.size };
      },
    };
    return { bucket, stalled: stalled.promise, goOn: first.resolve, breakOff: first.reject };
  }

  const expected = (): unknown => [
    "restored",
    Float32Array.from((answer as [{ data: number[] }])[0].data),
  ];

  it.each([0, 100, 2_000_000])(
    "get their answer when the first one is cancelled after %i bytes",
    async (bytes) => {
      const manifest = await publish();
      const { bucket, stalled, goOn } = stalling(bytes);
      const { loader, host, use, background } = hostOf(bucket);
      const cancelled = use(manifest);
      await stalled;
      const others = await Promise.all([use(manifest), use(manifest)]);
      expect(others).toEqual([expected(), expected()]);
      goOn();
      await background();
      expect(await cancelled).toEqual(expected());
      expect(loader.stats.fallbacks).toEqual({});
      expect(host.stats()).toMatchObject({ heldBytes: HEAP, takeovers: 1 });
    },
  );

  it("lose nothing when a read that was taken over breaks off late", async () => {
    const manifest = await publish({}, "weighted");
    const { graph, weights } = manifest;
    for (const ref of [graph, weights]) if (ref !== undefined) await damage(ref);
    const { bucket, stalled, breakOff } = stalling(2_000_000);
    let reads = 0;
    const { loader, host, use, background } = hostOf({
      get: (key) => (reads++ < 2 ? bucket.get(key) : Promise.reject(new Error("down"))),
    });
    const feeds = row(...Array<number>(32).fill(0));
    const ones = new Float32Array(16).fill(1);
    const cancelled = use(manifest, feeds);
    await stalled;
    expect(await use(manifest, feeds)).toEqual(["restored", ones]);
    breakOff(new Error("cancelled"));
    await background();
    expect(await cancelled).toEqual(["restored", ones]);
    expect(loader.stats.fallbacks).toEqual({});
    expect(host.stats()).toMatchObject({ heldBytes: HEAP, failures: 0, loads: 2 });
  });
});
