import { env } from "cloudflare:workers";
import * as v from "valibot";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { UsageEvent } from "../../../src/billing/usage-event.ts";
import { Catalog } from "../../../src/catalog/catalog.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import {
  decodeBinaryRequest,
  decodeBinaryResponse,
  encodeBinaryRequest,
  headerLengthOf,
} from "../../../src/protocol/open-inference/binary.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";
import { blobKey } from "../../../src/store/layout.ts";
import { edgeOf } from "../../support/edge.ts";
import {
  type Asked,
  computing,
  failing,
  fakeOrigin,
  type Respond,
} from "../../support/fake-origin.ts";
import { publishEmbedding } from "../../support/embedding-model.ts";
import { linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { TABULAR_TASK, tabularGraph } from "../protocol/models.ts";

const POOLS = {
  gpu: {
    protocol: "open-inference",
    endpoints: [{ url: "https://gpu-1.example.com" }],
  },
};

const HEAP = 16_777_216;

/** By name; each goes to the pool "gpu", where it is called "far-away". */
const MODELS: Record<string, Partial<Manifest>> = {
  near: {},
  "no-edge": { edge: false },
  huge: { memory: { heapBytes: 200e6, taskBytes: 0 } },
  costly: { edge: { targetMs: 4, msPerRequest: 1, msPerUnit: { elements: 1 } } },
  flagged: {},
  shadowed: {},
  versioned: { edge: { targetMs: 4, msPerRequest: 1, msPerUnit: { elements: 1 } } },
};

const x = (rows: number) => [
  { name: "x", datatype: "FP32", shape: [rows, 2], data: Array<number>(2 * rows).fill(1) },
];

beforeAll(async () => {
  const manifests: Manifest[] = [];
  for (const [name, more] of Object.entries(MODELS)) {
    manifests.push(await publishGraph(env.MODELS, name, linearGraph(2, 2), more));
  }
  const damaged = await publishGraph(env.MODELS, "damaged", linearGraph(2, 7));
  await env.MODELS.put(blobKey(damaged.graph?.digest ?? ""), "not what the digest says");
  const limits = { maxBatch: 3, maxBodyBytes: 4_096 };
  const shape = await publishGraph(env.MODELS, "shape", tabularGraph(), {
    task: TABULAR_TASK,
    limits,
  });
  const here = await publishGraph(env.MODELS, "here", linearGraph(2, 2));
  const origin = {
    pool: "gpu",
    model: "far-away",
    limits: { maxBatch: 100, maxBodyBytes: 5_000_000 },
  };
  const of = (manifest: Manifest) => ({
    versions: { 1: manifest, 2: { ...manifest, version: 2 } },
    labels: { stable: 1 },
  });
  const wide = await publishEmbedding(env.MODELS, "wide", {
    task: { type: "embedding", maxTokens: 256, dimensions: 3, tokenizer: "tokenizer" },
    limits: { maxBatch: 64, maxBodyBytes: 4_096 },
  });
  const routed = [...manifests, damaged, shape, wide].map((one) => [
    one.name,
    { ...of(one), origin: { ...origin, versioned: one.name === "versioned" } },
  ]);
  const variant = (value: object) => ({
    state: "ENABLED",
    variants: { one: value },
    defaultVariant: "one",
  });
  const catalog = v.parse(Catalog, {
    schema: 1,
    number: 7,
    models: { ...Object.fromEntries(routed), here: of(here) },
    pools: POOLS,
    flags: {
      flags: {
        flagged: variant({ version: 1, placement: "origin" }),
        shadowed: variant({ version: 1, shadow: { version: 2, rate: 1 } }),
      },
    },
  });
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
});

afterEach(() => {
  vi.restoreAllMocks();
});

const FAR: Tensor = { datatype: "FP32", shape: [1], data: Float32Array.of(42) };
const far: Respond = computing(() => ({ y: FAR }));
const farJson: Respond = () => Response.json({ outputs: [{ name: "y", data: [42] }] });

const sent = (asked: Asked | undefined): unknown =>
  JSON.parse(new TextDecoder().decode(asked?.bytes));

/** An edge with an origin behind it. */
function edgeWith(respond: Respond = farJson, overrides: Parameters<typeof edgeOf>[0] = {}) {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  const origin = fakeOrigin(respond);
  const edge = edgeOf({ ORIGIN: origin.binding, ...overrides });
  const inferAt = (model: string, rows: number, headers: Record<string, string> = {}) =>
    edge.send(`/v2/models/${model}/infer`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ inputs: x(rows) }),
    });
  return { ...edge, origin, inferAt };
}

const placedAt = ({ headers }: Response) => [
  headers.get("nearside-placement"),
  headers.get("nearside-placement-reason"),
];
const problem = (response: Response) => response.json<{ code: string; status: number }>();

describe("a request with an origin behind the edge", () => {
  it("is answered by the edge when nothing speaks against it", async () => {
    const { inferAt, origin, events } = edgeWith();
    const response = await inferAt("near", 1);
    expect([response.status, ...placedAt(response)]).toEqual([200, "edge", "default"]);
    expect(response.headers.get("nearside-start")).toBe("loaded");
    expect(origin.asked).toEqual([]);
    expect(events).toMatchObject([{ placement: "edge" }]);
    expect(events[0]).not.toHaveProperty("placementReason");
  });

  it.each<[string, string, number, Record<string, string>]>([
    ["header", "near", 1, { "nearside-placement": "origin" }],
    ["flag", "flagged", 1, {}],
    ["no_edge_build", "no-edge", 1, {}],
    ["too_large", "huge", 1, {}],
    ["over_limit", "near", 65, {}],
    ["slow", "costly", 2, {}],
    ["edge_failed", "damaged", 1, {}],
  ])("goes to the origin: %s", async (reason, model, rows, headers) => {
    const { inferAt, origin, events } = edgeWith();
    vi.spyOn(console, "error").mockImplementation(() => {});
    const response = await inferAt(model, rows, headers);
    expect([response.status, ...placedAt(response)]).toEqual([200, "origin", reason]);
    expect(await response.json()).toEqual({ outputs: [{ name: "y", data: [42] }] });
    expect(response.headers.has("nearside-start")).toBe(false);
    expect(origin.asked).toHaveLength(1);
    expect(events).toEqual([
      expect.objectContaining({
        model,
        placement: "origin",
        placementReason: reason,
        units: { elements: 2 * rows },
        outcome: "ok",
        billed: true,
      }),
    ]);
    expect(v.parse(UsageEvent, events[0])).toEqual(events[0]);
  });

  it("is answered by the edge as long as it is quick enough", async () => {
    const { inferAt } = edgeWith();
    expect(placedAt(await inferAt("costly", 1))).toEqual(["edge", "default"]);
  });

  it("goes to the origin when its body is more than the edge takes", async () => {
    const { send } = edgeWith();
    const body = JSON.stringify({ inputs: x(1) }).padEnd(4 * 1024 * 1024 + 1, " ");
    const headers = { "content-type": "application/json" };
    const response = await send("/v2/models/near/infer", { method: "POST", headers, body });
    expect(placedAt(response)).toEqual(["origin", "over_limit"]);
  });

  it("goes to the origin when its tensors are more than the edge computes at once", async () => {
    const { infer, origin } = edgeWith();
    const texts = (rows: number, tokens: number) =>
      ["input_ids", "attention_mask"].map((name) => ({
        name,
        datatype: "INT64",
        shape: [rows, tokens],
        data: Array<number>(rows * tokens).fill(1),
      }));
    expect(placedAt(await infer("wide", texts(4, 128)))).toEqual(["edge", "default"]);
    expect(placedAt(await infer("wide", texts(5, 128)))).toEqual(["origin", "over_limit"]);
    expect(await problem(await infer("wide", texts(1, 257)))).toMatchObject({
      code: "input_too_long",
    });
    expect(await problem(await infer("wide", texts(65, 256)))).toMatchObject({
      code: "batch_too_large",
    });
    expect(origin.asked).toHaveLength(1);
  });

  it("is refused when it is more than the origin takes", async () => {
    const { inferAt, send, origin } = edgeWith();
    expect(await problem(await inferAt("near", 101))).toMatchObject({ code: "batch_too_large" });
    const body = " ".repeat(5_000_001);
    const headers = { "content-type": "application/json" };
    const response = await send("/v2/models/near/infer", { method: "POST", headers, body });
    expect(await problem(response)).toMatchObject({ code: "body_too_large" });
    expect(origin.asked).toEqual([]);
  });

  it("goes to the origin when the isolate is full of models at work", async () => {
    const { inferAt, isolate } = edgeWith(farJson, { MODEL_BUDGET_BYTES: String(1.5 * HEAP) });
    const catalog = await isolate.catalog.get({ now: Date.now, waitUntil: () => {} });
    const busy = catalog.models["here"]?.versions["1"];
    if (busy === undefined) throw new Error("here is published");
    const released = Promise.withResolvers<void>();
    const host = { now: Date.now, waitUntil: () => {} };
    const begun = Promise.withResolvers<void>();
    const using = isolate.host.use(busy, host, async () => {
      begun.resolve();
      await released.promise;
    });
    await begun.promise;
    expect(placedAt(await inferAt("near", 1))).toEqual(["origin", "no_room"]);
    released.resolve();
    await using;
    expect(placedAt(await inferAt("near", 1))).toEqual(["edge", "default"]);
  });

  it("goes straight to the origin while the edge would not try again", async () => {
    const { inferAt, calls } = edgeWith();
    vi.spyOn(console, "error").mockImplementation(() => {});
    await inferAt("damaged", 1);
    calls.length = 0;
    expect(placedAt(await inferAt("damaged", 1))).toEqual(["origin", "edge_failed"]);
    expect(calls).toEqual([]);
  });

  it("has no shadow, which could not be compared", async () => {
    const { inferAt, events } = edgeWith();
    await inferAt("shadowed", 1, { "nearside-placement": "origin" });
    expect(events.map(({ kind }) => kind)).toEqual(["request"]);
    await inferAt("shadowed", 1);
    expect(events.map(({ kind }) => kind)).toEqual(["request", "request", "shadow"]);
  });

  it("is refused as ever where there is no route, or no origin", async () => {
    const { infer, origin } = edgeWith();
    expect((await infer("here", x(1))).status).toBe(200);
    expect(await problem(await infer("here", x(65)))).toMatchObject({ code: "batch_too_large" });
    expect(origin.asked).toEqual([]);
    const alone = edgeOf();
    expect(await problem(await alone.infer("huge", x(1)))).toMatchObject({
      code: "model_too_large",
    });
    expect(await problem(await alone.infer("no-edge", x(1)))).toMatchObject({
      code: "no_edge_build",
      status: 422,
    });
  });
});

describe("the caller's own word", () => {
  it("keeps a request at the edge, which then answers for itself", async () => {
    const { inferAt, origin } = edgeWith();
    const headers = { "nearside-placement": "edge" };
    expect(placedAt(await inferAt("costly", 9, headers))).toEqual(["edge", "header"]);
    expect(await problem(await inferAt("near", 65, headers))).toMatchObject({
      code: "batch_too_large",
    });
    expect(await problem(await inferAt("no-edge", 1, headers))).toMatchObject({
      code: "no_edge_build",
    });
    expect(await problem(await inferAt("huge", 1, headers))).toMatchObject({
      code: "model_too_large",
    });
    expect(origin.asked).toEqual([]);
  });

  it.each([
    ["nearside-placement", "moon"],
    ["nearside-timeout-ms", "0"],
    ["nearside-timeout-ms", "soon"],
    ["nearside-timeout-ms", "3600001"],
  ])("is refused when %s is %s", async (name, value) => {
    const { inferAt } = edgeWith();
    expect(await problem(await inferAt("near", 1, { [name]: value }))).toMatchObject({
      code: "invalid_request",
      status: 400,
      field: name,
    });
  });
});

describe("what reaches the origin", () => {
  const toOrigin = { "nearside-placement": "origin" };

  it("is what was read of the request, and what the origin Worker must know", async () => {
    const { inferAt, origin } = edgeWith();
    const before = Date.now();
    const response = await inferAt("near", 1, { ...toOrigin, "nearside-timeout-ms": "5000" });
    const [asked] = origin.asked;
    expect(asked?.path).toBe("/pools/gpu/v2/models/far-away/infer");
    expect(sent(asked)).toEqual({ inputs: x(1), outputs: [{ name: "y" }, { name: "sum" }] });
    const deadline = Number(asked?.headers.get("nearside-deadline"));
    expect(deadline).toBeGreaterThanOrEqual(before + 5_000);
    expect(deadline).toBeLessThanOrEqual(Date.now() + 5_000);
    expect(Object.fromEntries(asked?.headers ?? [])).toMatchObject({
      "content-type": "application/json",
      accept: "application/json",
      "nearside-request-id": response.headers.get("x-request-id"),
      "nearside-priority": "5",
      "nearside-idempotent": "true",
    });
  });

  it("has 30 seconds when the caller says nothing, and no header of the caller's", async () => {
    const { inferAt, origin } = edgeWith();
    const before = Date.now();
    await inferAt("near", 1, { ...toOrigin, authorization: "secret", "nearside-priority": "0" });
    const headers = origin.asked[0]?.headers;
    expect(Number(headers?.get("nearside-deadline"))).toBeGreaterThanOrEqual(before + 30_000);
    expect([headers?.get("authorization"), headers?.get("nearside-priority")]).toEqual([null, "5"]);
  });

  it("is a task's tensors, as bytes; the answer is the edge's", async () => {
    const rows = [
      [3, 1],
      [1, 3],
    ];
    const { post, send, origin, events } = edgeWith(
      computing(({ features }) => {
        expect(features).toEqual({
          datatype: "FP32",
          shape: [2, 2],
          data: Float32Array.of(3, 1, 1, 3),
        });
        return {
          probabilities: {
            datatype: "FP32",
            shape: [2, 3],
            data: Float32Array.of(0.5, 0.25, 0.25, 0.25, 0.5, 0.25),
          },
          label: { datatype: "INT64", shape: [2], data: BigInt64Array.of(0n, 1n) },
        };
      }),
    );
    const response = await send("/v1/predict/shape", {
      method: "POST",
      headers: { "content-type": "application/json", ...toOrigin },
      body: JSON.stringify({ inputs: rows }),
    });
    expect(placedAt(response)).toEqual(["origin", "header"]);
    const there = await response.json<{ label: string }[][]>();
    const here = await (await post("/v1/predict/shape", { inputs: rows })).json<typeof there>();
    expect(there.map(([best]) => best?.label)).toEqual(here.map(([best]) => best?.label));
    expect(origin.asked).toHaveLength(1);
    expect(events.map((event) => event.units)).toEqual([
      { items: 2, elements: 4 },
      { items: 2, elements: 4 },
    ]);
    const { headers } = response;
    expect(headers.get("nearside-attempts")).toBe("2");
    expect(headers.get("nearside-hedged")).toBe("false");
    expect(headers.get("nearside-endpoint-ms")).toBe("1.5");
  });

  it("is a batch that the edge would not take", async () => {
    const probabilities = Float32Array.from({ length: 12 }, () => 1 / 3);
    const { post, origin } = edgeWith(
      computing(() => ({
        probabilities: { datatype: "FP32", shape: [4, 3], data: probabilities },
        label: { datatype: "INT64", shape: [4], data: new BigInt64Array(4) },
      })),
    );
    const response = await post("/v1/predict/shape", {
      inputs: Array.from({ length: 4 }, () => [1, 2]),
    });
    expect([response.status, ...placedAt(response)]).toEqual([200, "origin", "over_limit"]);
    expect(origin.asked).toHaveLength(1);
  });

  it("is nothing that another parser might read otherwise, and no parameter", async () => {
    const { send, origin } = edgeWith();
    const [tensor] = x(1);
    const body =
      `{"inputs":[{"name":"z","name":"x","datatype":"FP32","shape":[1,2],"data":[0.1,2e0],` +
      `"parameters":{"priority":1}}],"outputs":[{"name":"y","more":1}],"id":"7","raw":1}`;
    const headers = { "content-type": "application/json", ...toOrigin };
    await send("/v2/models/near/infer", { method: "POST", headers, body });
    expect(new TextDecoder().decode(origin.asked[0]?.bytes)).toBe(
      JSON.stringify({
        id: "7",
        inputs: [{ ...tensor, data: [0.1, 2] }],
        outputs: [{ name: "y" }],
      }),
    );
  });

  it.each([
    ["parameters", { parameters: { sequence_id: 4 } }],
    [
      "inputs[0].parameters",
      { inputs: [{ ...x(1)[0], parameters: { shared_memory_region: "a" } }] },
    ],
    [
      "outputs[0].parameters",
      { outputs: [{ name: "y", parameters: { shared_memory_offset: 0 } }] },
    ],
  ])("has no memory or sequence of others in its %s, at either place", async (field, more) => {
    const { send, origin } = edgeWith();
    for (const headers of [toOrigin, { "nearside-placement": "edge" }]) {
      const response = await send("/v2/models/near/infer", {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ inputs: x(1), ...more }),
      });
      expect(await response.json()).toMatchObject({
        code: "invalid_request",
        field: expect.stringContaining(field),
      });
    }
    expect(origin.asked).toEqual([]);
  });

  const shapes = (labels: bigint[], probabilities: number[], rows = 1) =>
    computing(() => ({
      probabilities: {
        datatype: "FP32",
        shape: [rows, 3],
        data: Float32Array.from(probabilities),
      },
      label: { datatype: "INT64", shape: [labels.length], data: BigInt64Array.from(labels) },
    }));

  it.each<[string, Respond]>([
    ["holds no number", shapes([0n], [Number.NaN, 0, 1])],
    ["holds an infinity", shapes([0n], [Number.POSITIVE_INFINITY, 0, 1])],
    ["is for another batch", shapes([0n, 1n], [0, 0, 1, 0, 0, 1], 2)],
    ["is for a batch that is not one", shapes([0n, 1n], [0, 0, 1])],
    ["is too long", () => new Response(endless())],
    ["is no answer of the protocol", () => new Response("<html>")],
    ["lacks an output", computing(() => ({ label: FAR }))],
    ["is not what the manifest says", computing(() => ({ probabilities: FAR, label: FAR }))],
    ["breaks off", () => new Response(brokenAfter("{"))],
  ])("is not believed when its answer %s", async (_, respond) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { send } = edgeWith(respond);
    const response = await send("/v1/predict/shape", {
      method: "POST",
      headers: { "content-type": "application/json", ...toOrigin },
      body: '{"inputs":[1,2]}',
    });
    expect(await problem(response)).toMatchObject({ code: "origin_failed", status: 502 });
  });
});

/** A body that gives something and then fails. */
function brokenAfter(text: string): ReadableStream<Uint8Array> {
  let pulls = 0;
  return new ReadableStream({
    pull(controller) {
      if (pulls++ === 0) controller.enqueue(new TextEncoder().encode(text));
      else controller.error(new Error("reset"));
    },
  });
}

describe("tensors as bytes", () => {
  const { body, headerLength } = encodeBinaryRequest({
    inputs: { x: { datatype: "FP32", shape: [3, 2], data: new Float32Array(6) } },
  });
  const init = (headers: Record<string, string> = {}) => ({
    method: "POST",
    headers: { "inference-header-content-length": String(headerLength), ...headers },
    body,
  });

  it.each([
    ["near", { "nearside-placement": "origin" }],
    ["flagged", {}],
    ["no-edge", {}],
    ["huge", {}],
  ])("of %s pass as they are both ways", async (model, headers) => {
    const { send, origin, events } = edgeWith(far);
    const response = await send(`/v2/models/${model}/infer`, init(headers));
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    const length = Number(response.headers.get("inference-header-content-length"));
    const tensors = decodeBinaryResponse(new Uint8Array(await response.arrayBuffer()), length);
    expect(tensors["y"]).toEqual(FAR);
    const [asked] = origin.asked;
    const { inputs } = decodeBinaryRequest(
      asked?.bytes ?? new Uint8Array(),
      headerLengthOf(asked?.headers ?? new Headers()),
    );
    expect(inputs).toEqual({ x: { datatype: "FP32", shape: [3, 2], data: new Float32Array(6) } });
    expect(events).toMatchObject([{ units: { elements: 6 }, placement: "origin" }]);
  });

  it("are answered at the edge where the model runs there", async () => {
    const { send, origin } = edgeWith(far);
    for (const model of ["near", "here"]) {
      const response = await send(`/v2/models/${model}/infer`, init());
      expect(response.headers.get("nearside-placement")).toBe("edge");
      const length = headerLengthOf(response.headers);
      const bytes = new Uint8Array(await response.arrayBuffer());
      expect(decodeBinaryResponse(bytes, length)["y"]?.shape[0]).toBe(3);
    }
    expect(origin.asked).toEqual([]);
  });
});

describe("an origin that fails", () => {
  const down = failing("origin_unavailable", 503, "2");

  it.each<[string, string, Respond]>([
    ["slow", "costly", down],
    ["flag", "flagged", failing("origin_overloaded", 503)],
    ["flag", "flagged", () => Promise.reject(new Error("no such Worker"))],
    ["flag", "flagged", failing("origin_timeout", 504)],
    ["slow", "costly", failing("origin_failed", 502)],
    ["slow", "costly", () => new Response("<h1>hello</h1>")],
  ])("costs no answer when the edge would do: %s", async (_, model, respond) => {
    const { inferAt, events } = edgeWith(respond);
    const response = await inferAt(model, 2);
    expect([response.status, ...placedAt(response)]).toEqual([200, "edge", "origin_failed"]);
    expect(events).toMatchObject([{ placement: "edge", placementReason: "origin_failed" }]);
  });

  it.each<[string, string, number, Record<string, string>]>([
    ["the caller wants it", "near", 1, { "nearside-placement": "origin" }],
    ["there is no edge build", "no-edge", 1, {}],
    ["it is too much for the edge", "flagged", 65, {}],
  ])("fails the request where %s", async (_, model, rows, headers) => {
    const { inferAt, events } = edgeWith(down);
    const response = await inferAt(model, rows, headers);
    const text = await response.clone().text();
    expect(await problem(response)).toMatchObject({ code: "origin_unavailable", status: 503 });
    expect(response.headers.get("retry-after")).toBe("2");
    expect(text).not.toContain("secret");
    expect(events).toMatchObject([
      { outcome: "origin_unavailable", status: 503, placement: "origin", billed: false },
    ]);
  });

  it.each([
    ["origin_timeout", 504, 504],
    ["origin_rejected", 422, 422],
    ["pool_not_found", 500, 500],
    ["deadline_exceeded", 504, 504],
    ["model_not_found", 404, 502],
    ["of_the_future", 418, 502],
  ])("says %s in Nearside's own words", async (code, status, expected) => {
    const { inferAt } = edgeWith(failing(code, status));
    const response = await inferAt("no-edge", 1);
    expect(response.status).toBe(expected);
    expect(await response.text()).not.toContain("secret");
  });

  it("in HTML is an origin that fails", async () => {
    const { inferAt } = edgeWith(() => new Response("<h1>secret</h1>", { status: 500 }));
    const response = await inferAt("no-edge", 1);
    const text = await response.text();
    expect([response.status, text.includes("secret")]).toEqual([502, false]);
  });

  it("is not waited for longer than the caller waits", async () => {
    const { inferAt, origin } = edgeWith(() => new Promise<Response>(() => {}));
    const response = await inferAt("no-edge", 1, { "nearside-timeout-ms": "100" });
    expect(await problem(response)).toMatchObject({ code: "deadline_exceeded", status: 504 });
    expect(origin.asked[0]?.signal.aborted).toBe(true);
  });
});

describe("what an origin says", () => {
  it("never stands in the place of what Nearside says", async () => {
    const { inferAt } = edgeWith(
      () =>
        new Response('{"outputs":[]}', {
          headers: {
            "content-type": "application/json; charset=latin1",
            "set-cookie": "session=1",
            "nearside-model": "other",
            "nearside-placement": "edge",
            "nearside-cost": "0",
            "nearside-attempts": "<b>",
            "x-request-id": "other",
            "access-control-allow-origin": "https://evil.example",
            "server-timing": "secret;dur=1",
          },
        }),
    );
    const { headers } = await inferAt("flagged", 1, { "x-request-id": "mine" });
    expect(headers.get("content-type")).toBe("application/json");
    expect(headers.get("nearside-model")).toBe("flagged");
    expect(headers.get("nearside-placement")).toBe("origin");
    expect(headers.get("x-request-id")).toBe("mine");
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("server-timing")).not.toContain("secret");
    for (const name of ["set-cookie", "nearside-cost", "nearside-attempts"]) {
      expect(headers.has(name)).toBe(false);
    }
  });
});

describe("a caller who leaves", () => {
  const init = (signal: AbortSignal) => ({
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs: x(1) }),
    signal,
  });

  it("takes the request to the origin along", async () => {
    const asked = Promise.withResolvers<void>();
    const { begin, origin, events } = edgeWith(() => {
      asked.resolve();
      return new Promise<Response>(() => {});
    });
    const caller = new AbortController();
    // The flag's reason is one for which the edge would do: nobody is there to do it for.
    const answer = begin("/v2/models/flagged/infer", init(caller.signal));
    await asked.promise;
    expect(origin.asked[0]?.signal.aborted).toBe(false);
    caller.abort();
    await (await answer).settled();
    expect(events).toMatchObject([{ outcome: "cancelled", status: 499, placement: "origin" }]);
    expect(origin.asked[0]?.signal.aborted).toBe(true);
  });

  it("stops the answer that the edge is reading, and is not billed", async () => {
    const cancelled = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const stuck = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(16)),
      pull: () => begun.resolve(),
      cancel: () => cancelled.resolve(),
    });
    const { begin, events } = edgeWith(() => new Response(stuck));
    const caller = new AbortController();
    const answer = begin("/v2/models/flagged/infer", init(caller.signal));
    await begun.promise;
    caller.abort();
    await (await answer).settled();
    await cancelled.promise;
    expect(events).toMatchObject([{ outcome: "cancelled", status: 499, billed: false }]);
  });
});

describe("an answer in tensors", () => {
  const json = (text: string, type = "application/json"): Respond => {
    return () => new Response(text, { headers: { "content-type": type } });
  };
  const inBytes = (length: string): Respond => {
    return () =>
      new Response('{"outputs":[]}', {
        headers: {
          "content-type": "application/octet-stream",
          "inference-header-content-length": length,
        },
      });
  };

  it.each<[string, Respond]>([
    ["HTML", json("<h1>secret</h1>", "text/html")],
    ["HTML that says it is JSON", json("<h1>secret</h1>")],
    ["JSON that says it is HTML", json('{"outputs":[]}', "text/html")],
    ["nothing", json("")],
    ["NaN", json('{"outputs":[{"name":"y","data":[NaN]}]}')],
    ["an error", json('{"outputs":[],"error":"secret"}')],
    ["no outputs", json('{"model_name":"far-away"}')],
    ["bytes that nobody asked for", inBytes("14")],
    ["an answer that breaks off", () => new Response(brokenAfter("{"), JSON_HEADERS)],
    ["more than its outputs can be", () => new Response(endless(), JSON_HEADERS)],
  ])("is refused when it is %s", async (_, respond) => {
    const { inferAt, events } = edgeWith(respond);
    vi.spyOn(console, "error").mockImplementation(() => {});
    const response = await inferAt("no-edge", 1);
    const text = await response.clone().text();
    expect(await problem(response)).toMatchObject({ code: "origin_failed", status: 502 });
    expect(text).not.toContain("secret");
    expect(events).toMatchObject([{ outcome: "origin_failed", billed: false }]);
  });

  it("that does not end is given up with the request's time, and its place given back", async () => {
    const cancelled = Promise.withResolvers<void>();
    const stuck = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"outputs":')),
      cancel: () => cancelled.resolve(),
    });
    const { inferAt } = edgeWith(() => new Response(stuck, JSON_HEADERS));
    const response = await inferAt("no-edge", 1, { "nearside-timeout-ms": "100" });
    expect(await problem(response)).toMatchObject({ code: "deadline_exceeded", status: 504 });
    await cancelled.promise;
  });

  it("may come a little after the deadline: the origin Worker's own word", async () => {
    const { inferAt } = edgeWith(async (asked) => {
      const deadline = Number(asked.headers.get("nearside-deadline"));
      await scheduler.wait(deadline - Date.now() + 20);
      return failing("origin_overloaded", 503)(asked);
    });
    const response = await inferAt("no-edge", 1, { "nearside-timeout-ms": "100" });
    expect(await problem(response)).toMatchObject({ code: "origin_overloaded" });
  });
});

const JSON_HEADERS = { headers: { "content-type": "application/json" } };

/** Spaces, which JSON has none too many of. */
function endless(): ReadableStream<Uint8Array> {
  const spaces = new Uint8Array(64 * 1024).fill(0x20);
  return new ReadableStream({ pull: (controller) => controller.enqueue(spaces) });
}

describe("a request that comes from an origin pool", () => {
  const hop = { "nearside-hop": "1" };

  it("is answered by the edge, whatever else is said of it", async () => {
    const { inferAt, origin } = edgeWith();
    expect(placedAt(await inferAt("costly", 9, hop))).toEqual(["edge", "default"]);
    const wanted = { ...hop, "nearside-placement": "origin" };
    expect(placedAt(await inferAt("near", 1, wanted))).toEqual(["edge", "default"]);
    expect(origin.asked).toEqual([]);
  });

  it("is refused where only a pool could answer it", async () => {
    const { inferAt, origin } = edgeWith();
    expect(await problem(await inferAt("no-edge", 1, hop))).toMatchObject({
      code: "no_edge_build",
      status: 422,
      detail: "The request comes from an origin pool, and must not go to another.",
    });
    expect(origin.asked).toEqual([]);
  });
});

describe("a version that the pool can't be asked for", () => {
  it.each([
    ["costly/versions/1", "origin", "slow"],
    ["costly/versions/2", "edge", "default"],
    ["versioned/versions/2", "origin", "slow"],
  ])("%s is placed at the %s: %s", async (path, placement, reason) => {
    const { inferAt } = edgeWith();
    expect(placedAt(await inferAt(path, 2))).toEqual([placement, reason]);
  });

  it("is refused where there is no edge build", async () => {
    const { inferAt, origin } = edgeWith();
    expect(await problem(await inferAt("no-edge/versions/2", 1))).toMatchObject({
      code: "no_edge_build",
      detail: expect.stringContaining('version 2 needs a route that is "versioned"'),
    });
    expect(origin.asked).toEqual([]);
  });

  it("is asked for by its number where the route is versioned", async () => {
    const { inferAt, origin } = edgeWith();
    await inferAt("versioned/versions/2", 2);
    expect(origin.asked[0]?.path).toBe("/pools/gpu/v2/models/far-away/versions/2/infer");
  });
});

describe("readiness", () => {
  it.each([
    ["near", 200],
    ["no-edge", 200],
    ["huge", 200],
    ["here", 200],
  ])("of %s is %d with an origin", async (model, status) => {
    const { send } = edgeWith();
    expect((await send(`/v2/models/${model}/ready`)).status).toBe(status);
  });
});
