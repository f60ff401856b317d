import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { encodeBinaryRequest, HEADER_LENGTH } from "../../../src/protocol/open-inference/binary.ts";
import { undocumented } from "../../support/documented.ts";
import { edgeOf } from "../../support/edge.ts";
import { publishEmbedding } from "../../support/embedding-model.ts";
import { linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { BYTES_TASK, TABULAR_TASK, bytesGraph, putVersions, tabularGraph } from "./models.ts";

const edge = edgeOf({ ADMIN_TOKEN: "the-operators-secret" });
/** Where callers without a key are refused. */
const closed = edgeOf({ ANONYMOUS: "refused" });

const read = async (): Promise<object> => (await edge.send("/openapi.json")).json();

const json = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: typeof body === "string" ? body : JSON.stringify(body),
});
const text = (type: string, body: string): RequestInit => ({
  method: "POST",
  headers: { "content-type": type },
  body,
});
const x = { name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] };
const { body, headerLength } = encodeBinaryRequest({
  inputs: { x: { datatype: "FP32", shape: [1, 2], data: Float32Array.of(1, 2) } },
});
const bytes: RequestInit = {
  method: "POST",
  headers: { [HEADER_LENGTH]: String(headerLength) },
  body,
};
const operator = { authorization: "Bearer the-operators-secret" };

beforeAll(async () => {
  const limits = { maxBatch: 3, maxBodyBytes: 1_000 };
  await putVersions(env.CATALOG, [
    await publishGraph(env.MODELS, "shape", tabularGraph(), { task: TABULAR_TASK, limits }),
    await publishGraph(env.MODELS, "bytes", bytesGraph(), { task: BYTES_TASK, limits }),
    await publishGraph(env.MODELS, "linear", linearGraph(2, 2)),
    await publishEmbedding(env.MODELS, "words"),
  ]);
});

describe("GET /openapi.json", () => {
  it("may be kept for a while, and read by every page", async () => {
    const first = await edge.send("/openapi.json");
    expect(first.headers.get("content-type")).toBe("application/json");
    expect(first.headers.get("cache-control")).toBe("public, max-age=300");
    expect(first.headers.get("access-control-allow-origin")).toBe("*");
    const etag = first.headers.get("etag") ?? "";
    const again = await edge.send("/openapi.json", { headers: { "if-none-match": etag } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
    expect(again.headers.get("etag")).toBe(etag);
    const head = await edge.send("/openapi.json", { method: "HEAD" });
    expect([head.status, head.headers.get("etag")]).toEqual([200, etag]);
  });

  it("costs no I/O", async () => {
    const fresh = edgeOf();
    expect((await fresh.send("/openapi.json")).status).toBe(200);
    expect(fresh.calls).toEqual([]);
  });
});

describe("answers of the edge", () => {
  it.each<[status: number, path: string, init?: RequestInit]>([
    [200, "/"],
    [200, "/openapi.json"],
    [304, "/openapi.json", { headers: { "if-none-match": "*other*" } }],
    [200, "/docs"],
    [404, "/docs/0/page.js"],
    [200, "/v1/predict/shape", json({ inputs: [3, 1] })],
    [200, "/v1/predict/shape", json({ inputs: [[3, 1], { width: 1, length: 2 }] })],
    [200, "/v1/predict/shape", json({ inputs: { data: { length: ["3"], width: [1] } } })],
    [200, "/v1/predict/shape/versions/1", text("text/csv", "3,1\n1,3\n")],
    [200, "/v1/predict/bytes", json({ inputs: "abc", parameters: { top_k: 1 } })],
    [200, "/v1/predict/bytes?top_k=2", text("text/plain", "abc")],
    [200, "/v1/predict/bytes?task=text-classification", json({ inputs: "abc" })],
    [200, "/v1/predict/words", json({ inputs: "north" })],
    [200, "/v1/predict/words", json({ inputs: ["north", "south"] })],
    [
      200,
      "/v1/predict/words",
      json({ inputs: { source_sentence: "north", sentences: ["south"] } }),
    ],
    [404, "/v1/predict/words", json({ inputs: "north", parameters: { corpus: "none" } })],
    [200, "/v1/embeddings", json({ model: "words", input: ["north"] })],
    [200, "/v1/embeddings", json({ model: "words", input: "north", encoding_format: "base64" })],
    [400, "/v1/predict/shape", json("{")],
    [
      413,
      "/v1/predict/shape",
      json({
        inputs: [
          [1, 2],
          [1, 2],
          [1, 2],
          [1, 2],
        ],
      }),
    ],
    [415, "/v1/predict/shape", text("image/gif", "GIF89a")],
    [422, "/v1/predict/shape", json({ inputs: [1] })],
    [403, "/v1/predict/shape", json({ inputs: [1, 2] }, { "nearside-override": "1" })],
    [404, "/v1/predict/nobody", json({ inputs: [1, 2] })],
    [404, "/v1/predict/shape/versions/9", json({ inputs: [1, 2] })],
    [200, "/v1/models"],
    [404, "/v1/models/shape"],
    [404, "/v1/embeddings", json({ model: "nobody", input: "a" })],
    [400, "/v1/chat/completions", json({ model: 5 })],
    [401, "/v1/usage"],
    [200, "/.well-known/jwks.json"],
    [200, "/v2"],
    [200, "/v2/health/live"],
    [200, "/v2/health/ready"],
    [200, "/v2/models/linear"],
    [200, "/v2/models/linear/versions/1"],
    [404, "/v2/models/nobody"],
    [200, "/v2/models/linear/ready"],
    [200, "/v2/models/linear/config"],
    [503, "/v2/models/linear/stats"],
    [503, "/v2/models/stats"],
    [200, "/v2/models/linear/infer", json({ id: "7", inputs: [x] })],
    [200, "/v2/models/linear/versions/1/infer", json({ inputs: [x] })],
    [200, "/v2/models/linear/infer", bytes],
    [400, "/v2/models/linear/infer", json({ inputs: [{ ...x, name: "z" }] })],
    [200, "/v2/repository/index", json({ ready: true })],
    [200, "/v2/repository/models/linear/load", json("", operator)],
    [200, "/v2/repository/models/linear/unload", json({}, operator)],
    [200, "/v2/systemsharedmemory/status"],
  ])("is the documented %i of %s", async (status, path, init) => {
    const known = (await edge.send("/openapi.json")).headers.get("etag") ?? "";
    const wanted = status === 304 ? { headers: { "if-none-match": known } } : init;
    const answer = await edge.send(path, wanted);
    expect(answer.status).toBe(status);
    const differences = undocumented(await read());
    expect(await differences(init?.method ?? "GET", path, answer)).toEqual([]);
  });

  it.each([
    ["/v1/predict/shape", json({ inputs: [3, 1] })],
    ["/v1/embeddings", json({ model: "shape", input: "a" })],
    ["/v2/models/linear/infer", json({ inputs: [x] })],
  ])("is the documented refusal of a caller without a key by %s", async (path, init) => {
    const answer = await closed.send(path, init);
    expect(answer.status).toBe(401);
    expect(await undocumented(await read())("POST", path, answer)).toEqual([]);
  });

  it("is documented for every extension that is not offered", async () => {
    const document = (await read()) as {
      paths: Record<string, Record<string, { tags: string[] }>>;
    };
    const refused = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, { tags }]) => tags.includes("Not offered"))
        .map(([method]) => ({
          method: method.toUpperCase(),
          path: path.replaceAll(/\{\w+\}/g, "1"),
        })),
    );
    expect(refused.length).toBeGreaterThan(10);
    for (const { method, path } of refused) {
      const answer = await edge.send(path, { method });
      expect(await undocumented(document)(method, path, answer)).toEqual([]);
    }
  });
});
