import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";

import { edgeOf } from "../../support/edge.ts";
import { linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import {
  BYTES_TASK,
  LABELS,
  TABULAR_TASK,
  bytesGraph,
  putVersions,
  tabularGraph,
} from "./models.ts";

interface LabelScore {
  readonly label: string;
  readonly score: number;
}

const edge = edgeOf();

const raw = (
  path: string,
  contentType: string | undefined,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<Response> =>
  edge.send(path, {
    method: "POST",
    headers: contentType === undefined ? {} : { "content-type": contentType },
    // A string would bring a content type of its own.
    body: typeof body === "string" ? new TextEncoder().encode(body) : body,
  });

const best = async (response: Response): Promise<string | undefined> =>
  (await response.json<LabelScore[]>())[0]?.label;

const problem = async (response: Response): Promise<object> => ({
  status: response.status,
  ...(await response.json<object>()),
});

beforeAll(async () => {
  const limits = { maxBatch: 3, maxBodyBytes: 10_000 };
  const shape = { task: TABULAR_TASK, limits };
  const manifests = [
    await publishGraph(env.MODELS, "shape", tabularGraph(), shape),
    await publishGraph(env.MODELS, "shape", tabularGraph(), { ...shape, version: 2 }),
    await publishGraph(env.MODELS, "bytes", bytesGraph(), { task: BYTES_TASK, limits }),
    await publishGraph(env.MODELS, "linear", linearGraph(2, 2)),
  ];
  await putVersions(env.CATALOG, manifests, { shape: { canary: 2 } });
});

describe("POST /v1/predict/{model}", () => {
  it("answers a row of JSON with labels, best first", async () => {
    const response = await edge.post("/v1/predict/shape", { inputs: [3, 1] });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    const answer = await response.json<LabelScore[]>();
    expect(answer.map(({ label }) => label)).toEqual(["long", "square", "wide"]);
    const total = Math.exp(2) + Math.exp(1) + Math.exp(-2);
    expect(answer[0]?.score).toBeCloseTo(Math.exp(2) / total, 6);
  });

  it("answers rows with rows, in their order", async () => {
    const inputs = [[3, 1], { width: 3, length: 1 }, [1, 1]];
    const answer = await (await edge.post("/v1/predict/shape", { inputs })).json<LabelScore[][]>();
    expect(answer.map((row) => row[0]?.label)).toEqual(LABELS);
  });

  it.each([
    ["text/csv", "3,1\n1,3\n1,1\n"],
    ["text/csv; header=present", "length,width\r\n3,1\r\n1,3\r\n1,1\r\n"],
    ['TEXT/CSV; charset="utf-8"; Header="absent"', "3,1\n1,3\n1,1"],
  ])("takes a raw body of %s", async (contentType, body) => {
    const answer = await (await raw("/v1/predict/shape", contentType, body)).json<LabelScore[][]>();
    expect(answer.map((row) => row[0]?.label)).toEqual(LABELS);
  });

  it.each([
    ["text/plain", "zzzz", "high"],
    ["text/x-anything", "zzzz", "high"],
    ["application/octet-stream", new Uint8Array([0, 1, 2, 3]), "low"],
  ])("takes every subtype that a task's list allows: %s", async (contentType, body, expected) => {
    expect(await best(await raw("/v1/predict/bytes", contentType, body))).toBe(expected);
  });

  it.each(["application/json", "application/json; charset=utf-8", "application/ld+json"])(
    "takes %s as JSON",
    async (contentType) => {
      expect(await best(await raw("/v1/predict/shape", contentType, '{"inputs":[1,3]}'))).toBe(
        "wide",
      );
    },
  );

  it("takes JSON with a byte order mark", async () => {
    const response = await raw("/v1/predict/shape", "application/json", '\ufeff{"inputs":[1,3]}');
    expect(await best(response)).toBe("wide");
  });

  it("takes a raw body's parameters from the query, as JSON would give them", async () => {
    const inJson = await edge.post("/v1/predict/bytes", {
      inputs: "zzzz",
      parameters: { top_k: 1 },
    });
    const answer = await inJson.json<LabelScore[]>();
    expect(answer.map(({ label }) => label)).toEqual(["high"]);
    const inQuery = await raw("/v1/predict/bytes?top_k=1&unknown=%E0%A4%A", "text/plain", "zzzz");
    expect(await inQuery.json()).toEqual(answer);
  });

  it.each(["three", "true", "", "1e99", "0", "-1", "1.5", "NaN"])(
    "refuses the query parameter top_k=%s",
    async (value) => {
      const response = await raw(`/v1/predict/bytes?top_k=${value}`, "text/plain", "zzzz");
      expect(await problem(response)).toMatchObject({
        status: 422,
        code: "invalid_input",
        field: "parameters.top_k",
      });
    },
  );

  it("reads parameters from the query beside a JSON body, whose own win", async () => {
    const ask = (body: object) =>
      raw("/v1/predict/bytes?top_k=three", "application/json", JSON.stringify(body));
    expect(await problem(await ask({ inputs: "zzzz" }))).toMatchObject({
      field: "parameters.top_k",
    });
    const response = await ask({ inputs: "zzzz", parameters: { top_k: 1 } });
    expect(await response.json()).toHaveLength(1);
  });

  it("takes parameters that are absent, null or empty", async () => {
    for (const parameters of [undefined, null, {}]) {
      const response = await edge.post("/v1/predict/shape", { inputs: [3, 1], parameters });
      expect(response.status).toBe(200);
    }
  });

  it.each([
    ["", "1"],
    ["/versions/1", "1"],
    ["/versions/2", "2"],
    ["/versions/stable", "1"],
    ["/versions/canary", "2"],
  ])("chooses by number or label: %s is version %s", async (suffix, version) => {
    const response = await edge.post(`/v1/predict/shape${suffix}`, { inputs: [3, 1] });
    expect(response.status).toBe(200);
    expect(response.headers.get("nearside-model")).toBe("shape");
    expect(response.headers.get("nearside-version")).toBe(version);
  });

  it.each([
    ["/v1/predict/nothing", "model_not_found", "model"],
    ["/v1/predict/Shape", "model_not_found", "model"],
    ["/v1/predict/__proto__", "model_not_found", "model"],
    ["/v1/predict/constructor/versions/1", "model_not_found", "model"],
    ["/v1/predict/shape/versions/3", "version_not_found", "version"],
    ["/v1/predict/shape/versions/01", "version_not_found", "version"],
    ["/v1/predict/shape/versions/1.0", "version_not_found", "version"],
    ["/v1/predict/shape/versions/-1", "version_not_found", "version"],
    ["/v1/predict/shape/versions/STABLE", "version_not_found", "version"],
    ["/v1/predict/shape/versions/__proto__", "version_not_found", "version"],
    ["/v1/predict/shape/versions/toString", "version_not_found", "version"],
    ["/v1/predict/bytes/versions/canary", "version_not_found", "version"],
  ])("answers %s with %s", async (path, code, field) => {
    const response = await edge.post(path, { inputs: [3, 1] });
    expect(await problem(response)).toMatchObject({ status: 404, code, field });
  });

  it("names the versions and labels that there are", async () => {
    const response = await edge.post("/v1/predict/shape/versions/beta", { inputs: [3, 1] });
    const { detail } = await response.json<{ detail: string }>();
    expect(detail).toMatch(/1, 2, stable, canary/);
  });

  it.each([
    [undefined, "There is no content type"],
    ["", "There is no content type"],
    ["application/xml", '"application/xml" is not accepted'],
    ["text/plain", '"text/plain" is not accepted'],
    ["text/csvx", '"text/csvx" is not accepted'],
    ["application/json, text/csv", "is not accepted"],
  ])("refuses the content type %s, and says what it takes", async (contentType, words) => {
    const response = await raw("/v1/predict/shape", contentType, '{"inputs":[3,1]}');
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await problem(response)).toMatchObject({
      status: 415,
      code: "unsupported_media_type",
      field: "content-type",
      detail: expect.stringContaining(words),
    });
    const again = await raw("/v1/predict/shape", contentType, "");
    expect(await again.text()).toContain("application/json, text/csv");
  });

  it.each(["zstd", "br", "gzip, identity"])(
    "refuses a body in the content coding %s instead of classifying its bytes",
    async (coding) => {
      const response = await edge.send("/v1/predict/bytes", {
        method: "POST",
        headers: { "content-type": "application/octet-stream", "content-encoding": coding },
        body: new Uint8Array([0x1f, 0x8b, 8, 0]),
      });
      expect(await problem(response)).toMatchObject({
        status: 415,
        code: "unsupported_media_type",
        field: "content-encoding",
      });
    },
  );

  it("classifies what a compressed body holds, and not its own bytes", async () => {
    const bytes = new Uint8Array(100).fill(200);
    const predict = async (body: BodyInit, headers: Record<string, string>): Promise<unknown> => {
      const type = { "content-type": "application/octet-stream" };
      const init = { method: "POST", headers: { ...type, ...headers }, body };
      return (await edge.send("/v1/predict/bytes", init)).json();
    };
    const zipped = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    const answer = await predict(zipped, { "content-encoding": "gzip" });
    expect(answer).toMatchObject([{ label: "high" }, { label: "low" }]);
    expect(answer).toEqual(await predict(bytes, {}));
  });

  it("takes the content coding identity", async () => {
    const response = await edge.send("/v1/predict/shape", {
      method: "POST",
      headers: { "content-type": "application/json", "content-encoding": "Identity" },
      body: '{"inputs":[3,1]}',
    });
    expect(response.status).toBe(200);
  });

  it.each([
    ["nothing", "", "invalid_json"],
    ["cut JSON", '{"inputs":[3,1', "invalid_json"],
    ["words", "hello", "invalid_json"],
    ["two values", "{}{}", "invalid_json"],
    ["NaN", '{"inputs":[NaN,1]}', "invalid_json"],
    ["bytes that are not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "invalid_json"],
    ["UTF-16", new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]), "invalid_json"],
    ["an array", "[3,1]", "invalid_request"],
    ["a string", '"inputs"', "invalid_request"],
    ["null", "null", "invalid_request"],
    ["an object without inputs", '{"input":[3,1]}', "invalid_request"],
    ["inputs of the prototype", '{"__proto__":{"inputs":[3,1]}}', "invalid_request"],
  ])("refuses %s as a JSON body", async (_name, body, code) => {
    const response = await raw("/v1/predict/shape", "application/json", body);
    expect(await problem(response)).toMatchObject({ status: 400, code });
  });

  it("refuses no body at all", async () => {
    const response = await edge.send("/v1/predict/shape", {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    expect(await problem(response)).toMatchObject({ status: 400, code: "invalid_json" });
  });

  it.each([[[]], [[1]], ["x"], [1], [true]])(
    "refuses parameters that are no object: %j",
    async (parameters) => {
      const response = await edge.post("/v1/predict/shape", { inputs: [3, 1], parameters });
      expect(await problem(response)).toMatchObject({
        status: 400,
        code: "invalid_request",
        field: "parameters",
      });
    },
  );

  it.each([
    ["JSON", "application/json", '{"inputs":[[1,1],[1,1],[1,1],[1,1]]}'],
    ["CSV", "text/csv", "1,1\n1,1\n1,1\n1,1\n"],
  ])("refuses more %s rows than the batch limit", async (_name, contentType, body) => {
    const response = await raw("/v1/predict/shape", contentType, body);
    expect(await problem(response)).toMatchObject({
      status: 413,
      code: "batch_too_large",
      field: "inputs",
    });
  });

  it.each([
    [null, "inputs"],
    [[], "inputs"],
    [[1], "inputs"],
    [[1, "2"], "inputs[1]"],
    [[[1, 2], [3]], "inputs[1]"],
    [{ length: 1 }, "inputs.width"],
    [[1, 1e39], "inputs[1]"],
  ])("refuses the inputs %j and names %s", async (inputs, field) => {
    const response = await edge.post("/v1/predict/shape", { inputs });
    expect(await problem(response)).toMatchObject({ status: 422, code: "invalid_input", field });
  });

  it("sends a model of tensors to the Open Inference Protocol", async () => {
    const response = await edge.post("/v1/predict/linear", { inputs: [1, 2] });
    expect(await problem(response)).toMatchObject({
      status: 400,
      code: "invalid_request",
      detail: expect.stringContaining("/v2/models/linear/infer"),
    });
  });

  it("refuses what it can without loading the model", async () => {
    const { calls, post } = edgeOf();
    expect((await post("/v1/predict/shape", { inputs: [1] })).status).toBe(422);
    expect((await post("/v1/predict/shape/versions/9", { inputs: [1, 1] })).status).toBe(404);
    expect(calls).toEqual(["CATALOG.get"]);
  });

  it("answers any JSON with a result or a problem, never with a failure of its own", async () => {
    const body = fc.oneof(
      fc.json(),
      fc
        .record({ inputs: fc.jsonValue(), parameters: fc.jsonValue() })
        .map((value) => JSON.stringify(value)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("shape", "bytes"),
        fc.constantFrom("application/json", "text/csv", "text/plain"),
        body,
        async (model, contentType, text) => {
          const response = await raw(`/v1/predict/${model}`, contentType, text);
          expect([200, 400, 413, 415, 422]).toContain(response.status);
          expect(response.headers.get("content-type")).toBe(
            response.ok ? "application/json" : "application/problem+json",
          );
          expect(await response.json()).toBeTypeOf("object");
        },
      ),
      { numRuns: 150 },
    );
  });
});
