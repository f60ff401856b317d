import { env } from "cloudflare:workers";
import * as v from "valibot";
import { afterEach, describe, expect, it, vi } from "vitest";

import { UsageEvent } from "../../../src/billing/usage-event.ts";
import type { Catalog, Flag } from "../../../src/catalog/catalog.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import { TrapError } from "../../../src/runtime/errors.ts";
import { edgeOf } from "../../support/edge.ts";
import { gatherGraph, identityGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { TABULAR_TASK, tabularGraph } from "../protocol/models.ts";

const HEAP = 16_777_216;

/** `y = x + x` for what `identityGraph` answers as it is. */
function doublingGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("doubling");
  graph.input("x", "FP32", ["d0", "d1"]);
  graph.op("Add", ["x", "x"], {}, "y");
  graph.output("y", "FP32", ["d0", "d1"]);
  return graph.toBytes();
}

/** What `tabularGraph` calls long this calls wide. */
function swappedGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("swapped");
  graph.input("features", "FP32", ["batch", 2]);
  graph.floats("W", [-1, 1, 0, 1, -1, 0], [2, 3]);
  graph.floats("b", [0, 0, 1], [3]);
  graph.op("Softmax", [graph.op("Gemm", ["features", "W", "b"])], { axis: -1 }, "probabilities");
  graph.op("ArgMax", ["probabilities"], { axis: -1, keepdims: 0 }, "label");
  graph.output("probabilities", "FP32", ["batch", 3]);
  graph.output("label", "INT64", ["batch"]);
  return graph.toBytes();
}

const GRAPHS = {
  numbers: { 1: identityGraph("FP32", 2), 2: doublingGraph() },
  shape: { 1: tabularGraph(), 2: swappedGraph() },
  rows: { 1: gatherGraph(8), 2: gatherGraph(4) },
  fewer: { 1: gatherGraph(4), 2: gatherGraph(8) },
} as const;
type Model = keyof typeof GRAPHS;

const x = (...data: number[]) => [{ name: "x", datatype: "FP32", shape: [1, data.length], data }];
const rowOf = (row: number) => [{ name: "index", datatype: "INT64", shape: [1], data: [row] }];

interface Options {
  readonly rate?: number;
  readonly bindings?: Parameters<typeof edgeOf>[0];
  readonly second?: Partial<Manifest>;
}

/** An edge whose version 1 answers, with version 2 as its shadow. */
async function edgeWith(name: Model, { rate = 1, bindings, second = {} }: Options = {}) {
  const task = name === "shape" ? { task: TABULAR_TASK } : {};
  const versions = {
    1: await publishGraph(env.MODELS, name, GRAPHS[name][1], task),
    2: await publishGraph(env.MODELS, name, GRAPHS[name][2], { ...task, version: 2, ...second }),
  };
  const flag: Flag = {
    state: "ENABLED",
    variants: { current: { version: 1, shadow: { version: 2, rate } } },
    defaultVariant: "current",
  };
  const catalog: Catalog = {
    schema: 1,
    number: 41,
    models: { [name]: { versions, labels: { stable: 1 } } },
    flags: { flags: { [name]: flag } },
  };
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
  const edge = edgeOf(bindings);
  const shadows = () => edge.events.filter((event) => event.kind === "shadow");
  const loaded = () => edge.isolate.host.stats().models.map(({ version }) => version);
  /** Sends a request and returns with its answer. */
  const ask = (inputs: unknown, padding = "") =>
    edge.begin(`/v2/models/${name}/infer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs }) + padding,
    });
  return { ...edge, versions, shadows, loaded, ask };
}

/** A request that is in flight until its sender goes on. */
function hangingRequest({ begin }: Pick<ReturnType<typeof edgeOf>, "begin">) {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const answered = begin("/v2/models/numbers/versions/1/infer", { method: "POST", body: readable });
  return {
    async finish(): Promise<void> {
      const writer = writable.getWriter();
      const text = JSON.stringify({ inputs: x(1, 2) });
      await Promise.all([writer.write(new TextEncoder().encode(text)), writer.close()]);
      const { response, settled } = await answered;
      expect(response.status).toBe(200);
      await settled();
    },
  };
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a shadow", () => {
  it("compares the tensors of both versions for the same input, after the answer", async () => {
    const { ask, events, shadows, loaded } = await edgeWith("numbers");
    const { response, settled } = await ask(x(0.25, -1.5));
    expect(await response.json()).toMatchObject({ outputs: [{ data: [0.25, -1.5] }] });
    expect([loaded(), events]).toEqual([[1], []]);
    await settled();
    expect(loaded()).toEqual([1, 2]);
    const [request, shadow] = events;
    expect(request).toMatchObject({ kind: "request", version: 1, outcome: "ok", billed: true });
    expect(shadow).toEqual({
      schema: 1,
      kind: "shadow",
      id: expect.any(String),
      at: expect.any(Number),
      requestId: response.headers.get("x-request-id"),
      model: "numbers",
      version: 2,
      against: 1,
      catalog: 41,
      placement: "edge",
      units: { elements: 2 },
      unitsAgainst: { elements: 2 },
      outcome: "compared",
      comparison: { kind: "tensor", items: 1, flips: 0, distances: [0.5] },
      inputDigest: await sha256(JSON.stringify({ inputs: x(0.25, -1.5) })),
      billed: false,
    });
    expect(events).toHaveLength(2);
    for (const event of [...events, ...shadows()]) {
      expect(v.parse(UsageEvent, event)).toEqual(event);
    }
  });

  it("compares the labels of both versions on predict", async () => {
    const { post, shadows } = await edgeWith("shape");
    const response = await post("/v1/predict/shape", {
      inputs: [
        [3, 1],
        [1, 1],
      ],
    });
    const ranked = await response.json<{ label: string }[][]>();
    expect(ranked.map(([best]) => best?.label)).toEqual(["long", "square"]);
    expect(shadows()).toMatchObject([
      {
        outcome: "compared",
        comparison: { kind: "classification", items: 2, flips: 1 },
        units: { items: 2 },
        unitsAgainst: { items: 2 },
      },
    ]);
  });

  it("sees a raw body too", async () => {
    const { send, shadows } = await edgeWith("shape");
    const body = "3,1\n";
    const headers = { "content-type": "text/csv" };
    expect((await send("/v1/predict/shape", { method: "POST", headers, body })).status).toBe(200);
    expect(shadows()).toMatchObject([
      { outcome: "compared", comparison: { flips: 1 }, inputDigest: await sha256(body) },
    ]);
  });

  it("finds no distance between equal answers", async () => {
    const { infer, shadows } = await edgeWith("rows");
    await infer("rows", rowOf(2));
    expect(shadows()).toMatchObject([{ outcome: "compared", comparison: { distances: [0] } }]);
  });

  it("changes neither the bytes nor the headers of an answer", async () => {
    const seen = [];
    for (const rate of [0, 1]) {
      const { send, shadows } = await edgeWith("numbers", { rate });
      const response = await send("/v2/models/numbers/infer", {
        method: "POST",
        headers: { "content-type": "application/json", "x-request-id": "same" },
        body: JSON.stringify({ inputs: x(1, 2) }),
      });
      response.headers.delete("server-timing");
      seen.push([[...response.headers], await response.text()]);
      expect(shadows()).toHaveLength(rate);
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  it("runs for the share of requests that its rate says", async () => {
    const draws = [0.29, 0.3, 0.31, 0];
    vi.spyOn(Math, "random").mockImplementation(() => draws.shift() ?? 1);
    const { infer, shadows } = await edgeWith("numbers", { rate: 0.3 });
    for (let request = 0; request < 4; request++) await infer("numbers", x(1, 2));
    expect(shadows()).toHaveLength(2);
  });

  it("does not run for a version that the caller names", async () => {
    const { infer, shadows, loaded } = await edgeWith("numbers");
    await infer("numbers/versions/1", x(1, 2));
    expect([shadows(), loaded()]).toEqual([[], [1]]);
  });

  it("tells whether an input that was refused is refused by both", async () => {
    const { infer, shadows } = await edgeWith("rows");
    // Neither has a row 9; both have a row 2, and the first alone a row 6.
    for (const row of [9, 2, 6]) await infer("rows", rowOf(row));
    expect(shadows().map(({ comparison }) => [comparison?.kind, comparison?.flips])).toEqual([
      ["refusal", 0],
      ["tensor", 0],
      ["refusal", 1],
    ]);
  });

  it("tells of what the answering version refuses, and the other would answer", async () => {
    const { infer, shadows } = await edgeWith("fewer");
    expect((await infer("fewer", rowOf(6))).status).toBe(422);
    expect(shadows()).toMatchObject([
      { outcome: "compared", comparison: { kind: "refusal", items: 1, flips: 1, distances: [1] } },
    ]);
  });

  it("refuses bodies that are too long for its version, as that would", async () => {
    const second = { limits: { maxBatch: 64, maxBodyBytes: 10 } };
    const { post, shadows } = await edgeWith("shape", { second });
    const response = await post("/v1/predict/shape", { inputs: [[3, 1]] });
    expect(response.status).toBe(200);
    expect(shadows()).toMatchObject([{ comparison: { kind: "refusal", flips: 1 } }]);
  });
});

describe("a shadow in an isolate without room", () => {
  it("is skipped, and the model that answers stays", async () => {
    const { infer, shadows, isolate } = await edgeWith("numbers", {
      bindings: { MODEL_BUDGET_BYTES: String(1.5 * HEAP) },
    });
    await infer("numbers", x(1, 2));
    expect((await infer("numbers", x(1, 2))).headers.get("nearside-start")).toBe("warm");
    const skipped = { outcome: "skipped_memory", units: {}, billed: false };
    expect(shadows()).toMatchObject([skipped, skipped]);
    expect(isolate.host.stats()).toMatchObject({ loads: 1, evictions: 0, heldBytes: HEAP });
  });

  it("leaves before the model that answers when another needs its room", async () => {
    const { infer, loaded, isolate } = await edgeWith("numbers", {
      bindings: { MODEL_BUDGET_BYTES: String(2.5 * HEAP) },
    });
    await infer("numbers", x(1, 2));
    expect(loaded()).toEqual([1, 2]);
    const other = await publishGraph(env.MODELS, "other", identityGraph("FP32", 1));
    await isolate.host.use(other, { now: () => Date.now(), waitUntil: () => {} }, () => {});
    expect(isolate.host.stats().models.map(({ name }) => name)).toEqual(["numbers", "other"]);
    expect((await infer("numbers", x(1, 2))).headers.get("nearside-start")).toBe("warm");
  });
});

describe("a shadow in a busy isolate", () => {
  it("waits until the request in flight is answered", async () => {
    const edge = await edgeWith("numbers");
    const hanging = hangingRequest(edge);
    const { settled } = await edge.ask(x(1, 2));
    for (let poll = 0; poll < 5; poll++) await scheduler.wait(2);
    expect([edge.loaded(), edge.shadows()]).toEqual([[1], []]);
    await hanging.finish();
    await settled();
    expect(edge.shadows()).toMatchObject([{ outcome: "compared" }]);
  });

  it("gives up when it is never quiet", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const edge = await edgeWith("numbers");
    const hanging = hangingRequest(edge);
    const { settled } = await edge.ask(x(1, 2));
    vi.setSystemTime(Date.now() + 5_000);
    await settled();
    expect(edge.shadows()).toMatchObject([{ outcome: "skipped_busy", billed: false }]);
    expect(edge.shadows()[0]).not.toHaveProperty("comparison");
    expect(edge.loaded()).toEqual([1]);
    await hanging.finish();
  });

  it("is one of two at most: the third is skipped at once", async () => {
    const edge = await edgeWith("numbers");
    const hanging = hangingRequest(edge);
    const begun = [await edge.ask(x(1, 2)), await edge.ask(x(3, 4)), await edge.ask(x(5, 6))];
    await vi.waitFor(() => expect(edge.shadows()).toMatchObject([{ outcome: "skipped_busy" }]));
    await hanging.finish();
    await Promise.all(begun.map(({ settled }) => settled()));
    expect(edge.shadows().map(({ outcome }) => outcome)).toEqual([
      "skipped_busy",
      "compared",
      "compared",
    ]);
  });

  it("holds 4 MiB of input at most, all together", async () => {
    const edge = await edgeWith("numbers");
    const hanging = hangingRequest(edge);
    const padding = " ".repeat(2.1 * 1024 * 1024);
    const begun = [await edge.ask(x(1, 2), padding), await edge.ask(x(1, 2), padding)];
    await vi.waitFor(() => expect(edge.shadows()).toMatchObject([{ outcome: "skipped_busy" }]));
    await hanging.finish();
    await begun[0]?.settled();
    expect(edge.shadows().map(({ outcome }) => outcome)).toEqual(["skipped_busy", "compared"]);
  });

  it("is not in the way of later ones when it was dropped with its request", async () => {
    const edge = await edgeWith("numbers");
    await edge.infer("numbers", x(1, 2));
    const real = scheduler.wait.bind(scheduler);
    const dropped = vi.spyOn(scheduler, "wait").mockReturnValue(new Promise(() => {}));
    await Promise.all([edge.ask(x(1, 2)), edge.ask(x(1, 2))]);
    dropped.mockImplementation(real);
    const now = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => now() + 35_000);
    await edge.infer("numbers", x(1, 2));
    expect(edge.shadows().map(({ outcome }) => outcome)).toEqual(["compared", "compared"]);
  });
});

describe("a shadow that fails", () => {
  const failed = { outcome: "failed", units: {}, billed: false };

  it("because it can't be loaded leaves answers as they are", async () => {
    const second = { graph: { digest: "f".repeat(64), bytes: 10 } };
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { infer, shadows } = await edgeWith("numbers", { second });
    for (let request = 0; request < 2; request++) {
      expect((await infer("numbers", x(1, 2))).status).toBe(200);
    }
    expect(shadows()).toMatchObject([failed, failed]);
    expect(warned.mock.calls.map(([line]) => JSON.parse(String(line)) as object)[0]).toEqual({
      level: "warn",
      event: "shadow_failed",
      code: "model_damaged",
      model: "numbers",
      version: 2,
    });
  });

  it("by a trap loses its instance, and no answer", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const { infer, shadows, loaded, isolate, versions } = await edgeWith("numbers");
    await infer("numbers", x(1, 2));
    const context = { now: () => Date.now(), waitUntil: () => {} };
    await isolate.host.use(versions[2], context, ({ session }) => {
      const trap = new TrapError(new WebAssembly.RuntimeError("unreachable"));
      vi.spyOn(session, "runAndRead").mockImplementation(() => {
        vi.spyOn(session, "trap", "get").mockReturnValue(trap);
        throw trap;
      });
    });
    const response = await infer("numbers", x(1, 2));
    expect([response.status, response.headers.get("nearside-start")]).toEqual([200, "warm"]);
    const crashed = { outcome: "compared", comparison: { kind: "refusal", flips: 1 } };
    expect(shadows()).toMatchObject([{ outcome: "compared" }, crashed]);
    expect(loaded()).toEqual([1]);
    expect((await infer("numbers", x(1, 2))).headers.get("nearside-start")).toBe("warm");
    expect(shadows()[2]).toMatchObject({ outcome: "compared" });
  });
});

describe("a caller who goes away", () => {
  it("leaves the answered request's shadow and event behind", async () => {
    const { ask, events } = await edgeWith("numbers");
    const { response, settled } = await ask(x(1, 2));
    await response.body?.cancel();
    await settled();
    expect(events.map(({ kind }) => kind)).toEqual(["request", "shadow"]);
  });
});
