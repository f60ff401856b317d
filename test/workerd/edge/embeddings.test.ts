import { env } from "cloudflare:workers";
import * as v from "valibot";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { Catalog } from "../../../src/catalog/catalog.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";
import { edgeOf } from "../../support/edge.ts";
import { embeddingGraph, publishEmbedding, TOKENS } from "../../support/embedding-model.ts";
import { computing, fakeOrigin } from "../../support/fake-origin.ts";
import { manifestOf } from "../../support/manifests.ts";

const PATH = "/v1/embeddings";

interface Embeddings {
  readonly object: string;
  readonly model: string;
  readonly data: readonly { readonly index: number; readonly embedding: number[] | string }[];
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

const one = (manifest: Manifest) => ({ versions: { 1: manifest }, labels: { stable: 1 } });
const pool = (protocol: string) => ({
  protocol,
  endpoints: [{ url: `https://${protocol}.example.com` }],
});

beforeAll(async () => {
  const words = await publishEmbedding(env.MODELS, "words");
  const turned = await publishEmbedding(
    env.MODELS,
    "words",
    { version: 2 },
    embeddingGraph([0, 1, 0]),
  );
  const catalog = v.parse(Catalog, {
    schema: 1,
    number: 1,
    models: {
      words: one(words),
      split: {
        versions: { 1: { ...words, name: "split" }, 2: { ...turned, name: "split" } },
        labels: { stable: 1 },
      },
      shadowed: {
        versions: { 1: { ...words, name: "shadowed" }, 2: { ...turned, name: "shadowed" } },
        labels: { stable: 1 },
      },
      far: { ...one({ ...words, name: "far" }), origin: { pool: "tensors" } },
      passed: { ...one({ ...words, name: "passed" }), origin: { pool: "words" } },
      gone: one({ ...words, name: "gone", edge: false }),
      off: { ...one({ ...words, name: "off" }), off: true },
      iris: one(manifestOf({ name: "iris" })),
    },
    pools: { words: pool("openai"), tensors: pool("open-inference") },
    flags: {
      flags: {
        shadowed: {
          state: "ENABLED",
          variants: { both: { version: 1, shadow: { version: 2, rate: 1 } } },
          defaultVariant: "both",
        },
        split: {
          state: "ENABLED",
          variants: { one: 1, two: { version: 2 } },
          defaultVariant: "one",
          targeting: { if: [{ "==": [{ var: "targetingKey" }, "ada"] }, "two", "one"] },
        },
      },
    },
  });
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
});

afterEach(() => {
  vi.restoreAllMocks();
});

const edge = edgeOf();
const ask = (body: object) => edge.post(PATH, { model: "words", ...body });
const read = async (body: object): Promise<Embeddings> => (await ask(body)).json<Embeddings>();
const vectors = ({ data }: Embeddings) => data.map(({ embedding }) => embedding as number[]);
const rounded = (vector: readonly number[]) => vector.map((value) => Number(value.toFixed(6)));

const half = Number(Math.SQRT1_2.toFixed(6));

describe("POST /v1/embeddings of a model at the edge", () => {
  it("answers in OpenAI's form, and says how", async () => {
    const response = await ask({ input: "north" });
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "nearside-model": "words",
      "nearside-version": "1",
      "nearside-placement": "edge",
    });
    expect(await response.json()).toEqual({
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: expect.any(Array) }],
      model: "words",
      usage: { prompt_tokens: 3, total_tokens: 3 },
    });
  });

  it.each<[string, unknown, number[][], number]>([
    ["a text", "north", [[half, 0, half]], 3],
    [
      "texts",
      ["north", "east"],
      [
        [half, 0, half],
        [0, half, half],
      ],
      6,
    ],
    ["no text", "", [[0, 0, 1]], 2],
    ["tokens", [4], [[half, 0, half]], 3],
    ["tokens with the special ones", [2, 4, 3], [[half, 0, half]], 3],
    [
      "lists of tokens",
      [[5], [2, 4, 3]],
      [
        [0, half, half],
        [half, 0, half],
      ],
      6,
    ],
    ["a text that is too long, cut", "north ".repeat(9), [[0.986394, 0, 0.164399]], 8],
  ])("embeds %s", async (_, input, expected, tokens) => {
    const answer = await read({ input });
    expect(vectors(answer).map(rounded)).toEqual(expected);
    expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
    expect(answer.data.map(({ index }) => index)).toEqual(expected.map((_row, index) => index));
  });

  it("writes the same numbers in base64, of float32, the least significant byte first", async () => {
    const input = ["north", "south east"];
    const floats = vectors(await read({ input, encoding_format: "float" }));
    const { data } = await read({ input, encoding_format: "base64" });
    const decoded = data.map(({ embedding }) => {
      const view = new DataView(Uint8Array.fromBase64(embedding as string).buffer);
      return Array.from({ length: view.byteLength / 4 }, (_, at) => view.getFloat32(4 * at, true));
    });
    expect(decoded).toEqual(floats);
  });

  it("cuts vectors to the dimensions that are wanted, of length 1", async () => {
    const answer = await read({ input: ["north", "north east"], dimensions: 2 });
    expect(vectors(answer).map(rounded)).toEqual([
      [1, 0],
      [half, half],
    ]);
    const [whole] = vectors(await read({ input: "north", dimensions: 3 }));
    expect(whole).toEqual(vectors(await read({ input: "north" }))[0]);
    const { data } = await read({ input: "north", dimensions: 1, encoding_format: "base64" });
    expect(data[0]?.embedding).toBe("AACAPw==");
  });

  it("takes what is null for absent", async () => {
    const nothing = { encoding_format: null, dimensions: null, user: null };
    expect(await read({ input: "north", ...nothing })).toEqual(await read({ input: "north" }));
  });

  it("answers as /v1/predict does", async () => {
    const input = ["north", "easterly"];
    const predicted = await edge.post("/v1/predict/words", { inputs: input });
    expect(await predicted.json()).toEqual(vectors(await read({ input })));
  });

  it("counts what the model has seen", async () => {
    const { post, events } = edgeOf();
    await post(PATH, { model: "words", input: ["north", "east"] });
    expect(events).toMatchObject([
      {
        model: "words",
        placement: "edge",
        units: { items: 2, tokens: 6 },
        outcome: "ok",
        status: 200,
        billed: true,
      },
    ]);
  });

  it.each<[string, object, Record<string, string>, string]>([
    ["the body's user", { user: "ada" }, {}, "2"],
    ["another user", { user: "eve" }, {}, "1"],
    ["the header's user before the body's", { user: "ada" }, { "nearside-user": "eve" }, "1"],
    ["nobody", {}, {}, "1"],
  ])("lets flags choose by %s", async (_, body, headers, version) => {
    const response = await edge.send(PATH, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model: "split", input: "north", ...body }),
    });
    expect(response.headers.get("nearside-version")).toBe(version);
  });

  it.each<[string, number, string, string | null, object]>([
    ["no input", 400, "invalid_request", "input", {}],
    ["null", 400, "invalid_request", "input", { input: null }],
    ["a number", 400, "invalid_request", "input", { input: 5 }],
    ["an empty list", 400, "invalid_request", "input", { input: [] }],
    ["an empty list of tokens", 400, "invalid_request", "input", { input: [[4], []] }],
    ["texts and tokens", 400, "invalid_request", "input", { input: ["north", 4] }],
    ["texts and lists of tokens", 400, "invalid_request", "input", { input: [[4], "north"] }],
    ["half a token", 400, "invalid_request", "input", { input: [1.5] }],
    ["a token below nothing", 400, "invalid_request", "input", { input: [-1] }],
    ["a token that there is not", 422, "invalid_input", "input", { input: [TOKENS] }],
    ["one such token", 422, "invalid_input", "input[1]", { input: [[4], [4, TOKENS]] }],
    ["too many tokens", 413, "input_too_long", "input", { input: Array(7).fill(4) }],
    [
      "a text that must not be cut",
      413,
      "input_too_long",
      "input[1]",
      { input: ["north", "north ".repeat(9)], truncate: false },
    ],
    ["too many texts", 413, "batch_too_large", "input", { input: Array(5).fill("north") }],
    ["a long body", 413, "body_too_large", null, { input: "north ".repeat(300) }],
    ["another encoding", 400, "invalid_request", "encoding_format", { encoding_format: "hex" }],
    ["no dimensions", 400, "invalid_request", "dimensions", { dimensions: 0 }],
    ["too many dimensions", 400, "invalid_request", "dimensions", { dimensions: 4 }],
    ["dimensions in words", 400, "invalid_request", "dimensions", { dimensions: "2" }],
    ["a user that is no text", 400, "invalid_request", "user", { user: 7 }],
    ["a model that is not there", 404, "model_not_found", "model", { model: "nobody" }],
    ["a name of the prototype", 404, "model_not_found", "model", { model: "constructor" }],
    ["a model without a name", 400, "invalid_request", "model", { model: null }],
    ["a model of something else", 400, "invalid_request", "model", { model: "iris" }],
    ["a model that is off", 503, "model_off", "model", { model: "off" }],
    ["a model without a place", 422, "no_edge_build", "model", { model: "gone" }],
  ])("refuses %s: %i %s", async (name, status, code, param, body) => {
    const known = name === "no input" ? {} : { input: "north" };
    const response = await ask({ ...known, ...body });
    expect([response.status, await response.json()]).toEqual([
      status,
      {
        error: {
          code,
          param,
          message: expect.stringMatching(/\.$/),
          type: status < 500 ? "invalid_request_error" : "server_error",
        },
      },
    ]);
  });

  it("reads 2 MiB at most, whatever the model's pool would take", async () => {
    const { post } = edgeOf();
    const input = "n".repeat(2 * 1024 * 1024);
    const response = await post(PATH, { model: "passed", input });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: "body_too_large" } });
  });

  it("is shown to a shadow, which computes vectors of its own", async () => {
    const { post, events } = edgeOf();
    await post(PATH, { model: "shadowed", input: ["north", "east"], encoding_format: "base64" });
    expect(events).toEqual([
      expect.objectContaining({ version: 1, billed: true }),
      expect.objectContaining({
        kind: "shadow",
        version: 2,
        units: { items: 2, tokens: 6 },
        comparison: {
          kind: "embedding",
          items: 2,
          flips: 0,
          distances: [expect.closeTo(0.5, 5), 0],
        },
      }),
    ]);
  });

  it("loads nothing for what can be refused before", async () => {
    const { calls, post } = edgeOf();
    await post(PATH, { model: "words", input: [] });
    expect(calls).toEqual(["CATALOG.get"]);
  });
});

describe("POST /v1/embeddings of a model with a pool", () => {
  it("runs in a pool of tensors, where that is asked for", async () => {
    const tensor: Tensor = { datatype: "FP32", shape: [1, 3], data: Float32Array.of(0, 0.5, 0.5) };
    const origin = fakeOrigin(computing(() => ({ sentence_embedding: tensor })));
    const { send, events } = edgeOf({ ORIGIN: origin.binding });
    const response = await send(PATH, {
      method: "POST",
      headers: { "content-type": "application/json", "nearside-placement": "origin" },
      body: JSON.stringify({ model: "far", input: "north", dimensions: 2 }),
    });
    expect(await response.json()).toMatchObject({
      data: [{ embedding: [0, 1] }],
      usage: { total_tokens: 3 },
    });
    expect(origin.asked[0]?.path).toBe("/pools/tensors/v2/models/far/infer");
    expect(events).toMatchObject([{ placement: "origin", units: { items: 1, tokens: 3 } }]);
  });

  it("that speaks OpenAI's API gets the request as it is", async () => {
    const origin = fakeOrigin(() => Response.json({ object: "list", data: [] }));
    const { post } = edgeOf({ ORIGIN: origin.binding });
    const asked = { model: "passed", input: [[9_999]], dimensions: 9_999 };
    expect((await post(PATH, asked)).status).toBe(200);
    expect(JSON.parse(new TextDecoder().decode(origin.asked[0]?.bytes))).toEqual(asked);
    expect(origin.asked[0]?.path).toBe("/pools/words/v1/embeddings");
  });
});

describe("what OpenAI's clients ask beside", () => {
  it("lists the models of embeddings that answer", async () => {
    const { data } = await (await edge.send("/v1/models")).json<{ data: { id: string }[] }>();
    expect(data.map(({ id }) => id)).toEqual(["words", "split", "shadowed", "far", "passed"]);
    expect(await (await edge.send("/v1/models/words")).json()).toEqual({
      id: "words",
      object: "model",
      created: 0,
      owned_by: "nearside",
    });
  });

  it.each<[string, string, number, string, string]>([
    ["GET", PATH, 405, "method_not_allowed", "invalid_request_error"],
    ["DELETE", "/v1/models/words", 405, "method_not_allowed", "invalid_request_error"],
    ["GET", "/v1/models/gone", 404, "model_not_found", "invalid_request_error"],
    ["GET", "/v1/models/words/more", 404, "route_not_found", "invalid_request_error"],
    ["POST", `${PATH}/more`, 404, "route_not_found", "invalid_request_error"],
  ])("is refused in OpenAI's form: %s %s is %i", async (method, path, status, code, type) => {
    const response = await edge.send(path, { method });
    expect([response.status, await response.json()]).toMatchObject([
      status,
      { error: { code, type } },
    ]);
  });

  it("is refused without a key, and with one that nobody issued", async () => {
    const { send } = edgeOf({ ANONYMOUS: "refused" });
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", headers, body: '{"model":"words","input":"a"}' };
    for (const [path, asked] of [
      [PATH, init],
      ["/v1/models", {}],
      [PATH, { ...init, headers: { ...headers, authorization: "Bearer nsk_live_wrong" } }],
    ] as const) {
      const response = await send(path, asked);
      expect([response.status, await response.json()]).toMatchObject([
        401,
        { error: { type: "authentication_error" } },
      ]);
    }
  });

  it("is refused when it comes too often", async () => {
    const limiter = { limit: async () => ({ success: false }) };
    const { post } = edgeOf({ RATE_LIMITER: limiter });
    const statuses: unknown[] = [];
    for (let round = 0; round < 3; round++) {
      const response = await post(PATH, { model: "words", input: "north" });
      statuses.push([response.status, (await response.json<{ error: object }>()).error]);
    }
    expect(statuses.at(-1)).toMatchObject([
      429,
      { type: "rate_limit_error", code: "rate_limited" },
    ]);
  });
});
