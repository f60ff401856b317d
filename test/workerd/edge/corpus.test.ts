import { env } from "cloudflare:workers";
import * as v from "valibot";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { Catalog } from "../../../src/catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { blobKey } from "../../../src/store/layout.ts";
import { edgeOf } from "../../support/edge.ts";
import { embeddingGraph, publishEmbedding } from "../../support/embedding-model.ts";
import { computing, fakeOrigin } from "../../support/fake-origin.ts";
import { putCorpus } from "../../support/put-corpus.ts";

const HEAP = 16_777_216;
const TEXTS = { texts: true };

const ROWS = [
  { id: "n", vector: [1, 0, 1], text: "north", metadata: { pole: true, degrees: 0 } },
  { id: "e", vector: [0, 1, 1], text: "east", metadata: { pole: false, degrees: 90 } },
  { id: "s", vector: [-1, 0, 1], text: "south", metadata: { pole: true, degrees: 180 } },
  { id: "n2", vector: [2, 0, 2], text: "north", metadata: { pole: true } },
];

beforeAll(async () => {
  const words = await publishEmbedding(env.MODELS, "words");
  const turned = await publishEmbedding(
    env.MODELS,
    "words",
    { version: 2 },
    embeddingGraph([0, 1, 0]),
  );
  const corpus = (overrides: object) => putCorpus(env.MODELS, ROWS, { ...TEXTS, ...overrides });
  const docs = await corpus({});
  const one = (manifest: object) => ({ versions: { 1: manifest }, labels: { stable: 1 } });
  const damaged = await putCorpus(env.MODELS, ROWS.slice(1), { name: "damaged" });
  await env.MODELS.put(blobKey(damaged.snapshot.digest), "not what the digest says");
  const far = { ...words, name: "far", edge: false };
  const catalog = v.parse(Catalog, {
    schema: 1,
    number: 1,
    models: {
      words: { versions: { 1: words, 2: turned }, labels: { stable: 1, canary: 2 } },
      shadowed: {
        versions: { 1: { ...words, name: "shadowed" }, 2: { ...turned, name: "shadowed" } },
        labels: { stable: 1 },
      },
      far: { ...one(far), origin: { pool: "tensors" } },
    },
    corpora: {
      docs: {
        versions: {
          1: docs,
          2: await corpus({ version: 2, model: { name: "words", version: 2 } }),
        },
        labels: { stable: 1 },
      },
      damaged: one(damaged),
      liar: one({ ...docs, name: "liar", columns: [] }),
      newer: one({ ...docs, name: "newer", snapshot: { ...docs.snapshot, format: 1 } }),
      huge: one({ ...docs, name: "huge", memory: { heapBytes: 90e6, taskBytes: 0 } }),
      long: one({ ...docs, name: "long", count: 80_000_000 }),
      shadowed: one({ ...docs, name: "shadowed", model: { name: "shadowed", version: 1 } }),
      far: one({ ...docs, name: "far", model: { name: "far", version: 1 } }),
      "far-huge": one({
        ...docs,
        name: "far-huge",
        model: { name: "far", version: 1 },
        memory: { heapBytes: 200e6, taskBytes: 0 },
      }),
      123: one({ ...docs, name: "123" }),
    },
    pools: {
      tensors: { protocol: "open-inference", endpoints: [{ url: "https://far.example.com" }] },
    },
    flags: {
      flags: {
        shadowed: {
          state: "ENABLED",
          variants: { one: { version: 1, shadow: { version: 2, rate: 1 } } },
          defaultVariant: "one",
        },
      },
    },
  });
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
});

afterEach(() => {
  vi.restoreAllMocks();
});

interface Found {
  readonly id: string;
  readonly score: number;
}

const ids = async (response: Response): Promise<string[]> =>
  (await response.json<Found[]>()).map(({ id }) => id);

const ask = (
  edge: ReturnType<typeof edgeOf>,
  inputs: unknown,
  parameters: object = { corpus: "docs" },
  model = "words",
): Promise<Response> => edge.post(`/v1/predict/${model}`, { inputs, parameters });

describe("a corpus at the edge", () => {
  it("ranks a text, best first, with metadata and texts", async () => {
    const edge = edgeOf();
    const response = await ask(edge, "north", { corpus: "docs", top: 3 });
    expect(response.headers.get("nearside-start")).toBe("loaded");
    const [, , third] = await response.clone().json<Found[]>();
    expect(await response.json()).toEqual([
      { id: "n", score: expect.closeTo(1, 6), text: "north", metadata: ROWS[0]?.metadata },
      { id: "n2", score: expect.closeTo(1, 6), text: "north", metadata: { pole: true } },
      { id: "e", score: expect.closeTo(0.5, 2), text: "east", metadata: ROWS[1]?.metadata },
    ]);
    expect(third?.score).not.toBe(0.5);
    expect(edge.isolate.host.stats().models).toMatchObject([
      { name: "words" },
      { kind: "corpus", name: "docs", bytes: 65_536 },
    ]);
  });

  it("ranks each of several texts, and says what it scanned", async () => {
    const edge = edgeOf();
    const found = await (await ask(edge, ["south", "east"], { corpus: "docs", top: 1 })).json();
    expect(found).toMatchObject([[{ id: "s" }], [{ id: "e" }]]);
    expect(edge.events).toMatchObject([{ units: { items: 2, vectors: 8 }, outcome: "ok" }]);
  });

  it("makes no call on any binding once it is warm", async () => {
    const edge = edgeOf();
    await ask(edge, "north");
    edge.calls.length = 0;
    const warm = await ask(edge, "north");
    expect([warm.headers.get("nearside-start"), edge.calls]).toEqual(["warm", []]);
    expect(warm.headers.get("server-timing")).toMatch(/search;dur=/);
  });

  it("is restored where only the model is warm", async () => {
    const edge = edgeOf();
    await ask(edge, "north", {});
    expect((await ask(edge, "north")).headers.get("nearside-start")).toBe("restored");
  });

  it("loads once for twenty requests at the same time", async () => {
    const edge = edgeOf();
    const responses = await Promise.all(Array.from({ length: 20 }, () => ask(edge, "east")));
    for (const response of responses) expect((await ids(response))[0]).toBe("e");
    expect(edge.isolate.host.stats().loads).toBe(2);
  });

  it.each([
    [{ pole: true }, ["n", "n2", "s"]],
    [{ pole: true, degrees: { gte: 0 } }, ["n", "s"]],
    [{ degrees: { in: [90, 7] } }, ["e"]],
    [{ degrees: 1 }, []],
  ])("filters by %j", async (filter, expected) => {
    expect(await ids(await ask(edgeOf(), "north", { corpus: "docs", filter }))).toEqual(expected);
  });

  it("takes a text and parameters from a query", async () => {
    const query = new URLSearchParams({ corpus: "docs@1", top: "1", filter: '{"pole":false}' });
    const response = await edgeOf().send(`/v1/predict/words?${query}`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "north",
    });
    expect(await ids(response)).toEqual(["e"]);
  });

  it("follows the version of the model that answers", async () => {
    const response = await edgeOf().post("/v1/predict/words/versions/2", {
      inputs: "north",
      parameters: { corpus: "docs", top: 1 },
    });
    // Version 2 has north where version 1 has east.
    expect(await ids(response)).toEqual(["e"]);
  });

  it.each([
    [
      "a corpus that is not there",
      { corpus: "dogs" },
      404,
      "corpus_not_found",
      "parameters.corpus",
    ],
    ["another model's corpus", { corpus: "shadowed" }, 409, "corpus_mismatch", "parameters.corpus"],
    [
      "a version of another version",
      { corpus: "docs@2" },
      409,
      "corpus_mismatch",
      "parameters.corpus",
    ],
    ["a corpus that is no name", { corpus: 7 }, 422, "invalid_input", "parameters.corpus"],
    ["no rows", { corpus: "docs", top: 0 }, 422, "invalid_input", "parameters.top"],
    ["too many rows", { corpus: "docs", top: 101 }, 422, "invalid_input", "parameters.top"],
    [
      "a column that is not there",
      { corpus: "docs", filter: { x: 1 } },
      422,
      "invalid_input",
      "parameters.filter.x",
    ],
    [
      "a filter that is no JSON",
      { corpus: "docs", filter: "{" },
      422,
      "invalid_input",
      "parameters.filter",
    ],
    [
      "more vectors than one request may scan",
      { corpus: "long" },
      413,
      "batch_too_large",
      "parameters.corpus",
    ],
  ])("refuses %s", async (_, parameters, status, code, field) => {
    const response = await ask(edgeOf(), ["north", "east"], parameters);
    expect(await response.json()).toMatchObject({ status, code, field });
  });

  it.each([
    [
      "a comparison",
      { source_sentence: "north", sentences: ["north", "east", "south"] },
      { corpus: "docs" },
      "parameters.corpus",
    ],
    [
      "a comparison with one sentence",
      { source_sentence: "north", sentences: ["north"] },
      { corpus: "docs", top: 1 },
      "parameters.corpus",
    ],
    ["half a vector", "north", { corpus: "docs", dimensions: 2 }, "parameters.corpus"],
    ["rows without a corpus", "north", { top: 2 }, "parameters.top"],
    ["a filter without a corpus", "north", { filter: { pole: true } }, "parameters.filter"],
    ["a corpus of a number", "north", { corpus: 123 }, "parameters.corpus"],
  ])("refuses %s before anything runs", async (_, inputs, parameters, field) => {
    const edge = edgeOf();
    const response = await ask(edge, inputs, parameters);
    expect(await response.json()).toMatchObject({ status: 422, code: "invalid_input", field });
    expect(edge.calls).toEqual(["CATALOG.get"]);
    expect(edge.isolate.host.stats().loads).toBe(0);
  });

  it("takes parameters of a JSON body from the query, too; the body's count", async () => {
    const found = await edgeOf().post("/v1/predict/words?corpus=docs&top=2", {
      inputs: "north",
      parameters: { top: 1 },
    });
    expect(await ids(found)).toEqual(["n"]);
  });

  it("takes a corpus whose name is a number from a query", async () => {
    const response = await edgeOf().send("/v1/predict/words?corpus=123&top=1", {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "east",
    });
    expect(await ids(response)).toEqual(["e"]);
  });

  it("asks no pool for what its corpus is too large for", async () => {
    const origin = fakeOrigin(() => {
      throw new Error("It was asked.");
    });
    const edge = edgeOf({ ORIGIN: origin.binding });
    const response = await ask(edge, "north", { corpus: "far-huge" }, "far");
    expect(await response.json()).toMatchObject({ status: 507, code: "model_too_large" });
    expect(origin.asked).toHaveLength(0);
  });

  it("refuses model and corpus that don't fit together before a byte is fetched", async () => {
    const edge = edgeOf();
    const response = await ask(edge, "north", { corpus: "huge" });
    expect(await response.json()).toMatchObject({ status: 507, code: "model_too_large" });
    expect(edge.calls).toEqual(["CATALOG.get"]);
  });

  it.each([
    ["damaged", "is missing from the store, or altered: `nearside corpus verify damaged --drop`"],
    ["liar", "is not the one in its manifest"],
    ["newer", "was published by another release"],
  ])("does not answer with a corpus that is %s", async (corpus, detail) => {
    vi.spyOn(console, "error").mockReturnValue();
    const edge = edgeOf();
    const response = await ask(edge, "north", { corpus });
    expect(await response.json()).toMatchObject({
      status: 503,
      code: "corpus_damaged",
      detail: expect.stringContaining(detail),
    });
    expect((await ask(edge, "north")).status).toBe(200);
    expect(edge.isolate.host.stats().models).toHaveLength(2);
  });

  it("shares the budget with models, which come back when they are asked for", async () => {
    const edge = edgeOf({ MODEL_BUDGET_BYTES: String(HEAP + 100_000) });
    for (let round = 0; round < 2; round++) {
      expect((await ask(edge, "north")).status).toBe(200);
      expect((await ask(edge, "north", { corpus: "shadowed" }, "shadowed")).status).toBe(200);
      const { heldBytes, models } = edge.isolate.host.stats();
      expect(heldBytes).toBeLessThanOrEqual(HEAP + 100_000);
      expect(models.map(({ name }) => name)).toEqual(["shadowed", "shadowed"]);
    }
  });

  it("compares a shadow's vectors, and leaves the corpus out", async () => {
    const edge = edgeOf();
    expect((await ask(edge, "north", { corpus: "shadowed" }, "shadowed")).status).toBe(200);
    const shadow = edge.events.find(({ kind }) => kind === "shadow");
    expect(shadow).toMatchObject({ outcome: "compared", comparison: { kind: "embedding" } });
  });

  it.each([
    ["north", { corpus: "dogs" }],
    ["north", { corpus: "shadowed", filter: { x: 1 } }],
    ["north", { corpus: "shadowed", dimensions: 2 }],
  ])(
    "holds a search of %j by %j that is refused against no version",
    async (inputs, parameters) => {
      const edge = edgeOf();
      expect((await ask(edge, inputs, parameters, "shadowed")).ok).toBe(false);
      expect(edge.events.map(({ kind }) => kind)).toEqual(["request"]);
    },
  );

  it("tells of a shadow and of what it is compared with the same units: those of the model", async () => {
    const edge = edgeOf();
    await ask(edge, ["north", "east"], { corpus: "shadowed" }, "shadowed");
    const [request, shadow] = edge.events;
    expect(request).toMatchObject({ kind: "request", units: { items: 2, vectors: 8 } });
    expect(shadow).toMatchObject({
      kind: "shadow",
      units: { items: 2, tokens: expect.any(Number) },
    });
    expect(shadow).toHaveProperty("unitsAgainst", shadow?.units);
  });

  it("ranks here what a pool has computed", async () => {
    const north = { datatype: "FP32", shape: [1, 3], data: Float32Array.of(0, 1, 0) } as const;
    const origin = fakeOrigin(computing(() => ({ sentence_embedding: north })));
    const edge = edgeOf({ ORIGIN: origin.binding });
    const response = await ask(edge, "north", { corpus: "far", top: 1 }, "far");
    expect(response.headers.get("nearside-placement")).toBe("origin");
    expect(await ids(response)).toEqual(["e"]);
    expect(edge.isolate.host.stats().models).toMatchObject([{ kind: "corpus", name: "far" }]);
    expect(edge.events).toMatchObject([{ units: { vectors: 4 } }]);
  });
});
