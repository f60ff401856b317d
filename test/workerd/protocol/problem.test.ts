import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { ERROR_CODES, NearsideError } from "../../../src/errors.ts";
import { type Problem, WIRE_FORMS, problemResponse } from "../../../src/protocol/problem.ts";
import { OrtError, TrapError } from "../../../src/runtime/errors.ts";
import { edgeOf } from "../../support/edge.ts";
import { gatherGraph } from "../../support/graphs.ts";
import { publishGraph, putCatalog } from "../../support/publish-graph.ts";

const PROBLEM_JSON = { openInference: false };
const OPEN_INFERENCE = { openInference: true };

beforeAll(async () => {
  await putCatalog(env.CATALOG, [await publishGraph(env.MODELS, "gather", gatherGraph(4))]);
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the wire forms", () => {
  it("are one for each code, and none besides", () => {
    expect(Object.keys(WIRE_FORMS).sort()).toEqual([...ERROR_CODES].sort());
  });

  it("have titles that tell them apart", () => {
    const titles = Object.values(WIRE_FORMS).map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });

  it.each([...ERROR_CODES])("turn %s into an error status with every field", async (code) => {
    const response = problemResponse(
      new NearsideError(code, "What went wrong."),
      "id",
      PROBLEM_JSON,
    );
    expect(response.status).toBe(WIRE_FORMS[code].status);
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.status).toBeLessThan(600);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toEqual({
      type: `urn:nearside:problem:${code}`,
      title: WIRE_FORMS[code].title,
      status: response.status,
      code,
      detail: "What went wrong.",
      requestId: "id",
    } satisfies Problem);
  });

  it.each([...ERROR_CODES])("turn %s into the Open Inference Protocol's error", async (code) => {
    const response = problemResponse(
      new NearsideError(code, "What went wrong."),
      "id",
      OPEN_INFERENCE,
    );
    expect(response.status).toBe(WIRE_FORMS[code].status);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toMatchObject({ error: "What went wrong.", code });
  });

  it("carry the field and when to try again, where there is one", async () => {
    const error = new NearsideError("model_unavailable", "Later.", {
      field: "model",
      retryAfterSeconds: 3,
    });
    const response = problemResponse(error, "id", PROBLEM_JSON);
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await response.json()).toMatchObject({ field: "model" });
    const plain = problemResponse(new NearsideError("internal", "No."), "id", PROBLEM_JSON);
    expect(plain.headers.get("retry-after")).toBeNull();
    expect(await plain.json()).not.toHaveProperty("field");
  });

  it("carry the errors of ONNX Runtime by their codes", async () => {
    const responses = [
      new OrtError("inference_failed", 2, "indices element out of data bounds"),
      new OrtError("inference_failed", 6, "std::bad_alloc"),
      new TrapError(new WebAssembly.RuntimeError("secret")),
    ].map((error) => problemResponse(error, "id", PROBLEM_JSON));
    const codes = responses.map(async (response) => (await response.json<Problem>()).code);
    expect(await Promise.all(codes)).toEqual([
      "inference_failed",
      "out_of_memory",
      "instance_trapped",
    ]);
  });
});

describe("what is not meant for a caller", () => {
  it.each([
    ["an Error", new Error("secret")],
    ["a TypeError with a cause", new TypeError("secret", { cause: new Error("secret") })],
    ["an object that looks like ours", { code: "model_not_found", message: "secret", status: 404 }],
    ["a Response", new Response("secret", { status: 200 })],
    ["a string", "secret"],
    ["undefined", undefined],
    ["null", null],
    ["a bare object", Object.create(null)],
  ])("becomes internal, without its words: %s", async (_name, thrown) => {
    for (const form of [PROBLEM_JSON, OPEN_INFERENCE]) {
      const response = problemResponse(thrown, "id", form);
      expect(response.status).toBe(500);
      const text = await response.text();
      expect(JSON.parse(text)).toMatchObject({ code: "internal", requestId: "id" });
      expect(text).not.toContain("secret");
    }
  });

  it("is a cause, which is logged and not sent", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const { send } = edgeOf({
      CATALOG: {
        get: () => Promise.reject(new Error("KV namespace 0f2ac74b")),
      } as unknown as KVNamespace,
    });
    const text = await (await send("/v2/health/ready")).text();
    expect(JSON.parse(text)).toMatchObject({ code: "catalog_unavailable" });
    expect(text).not.toMatch(/0f2ac74b|at .*\.ts/);
    expect(logged.mock.calls.join()).toContain("0f2ac74b");
  });

  it("is logged with the request's id when a bug of ours throws it", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const { isolate, send } = edgeOf();
    vi.spyOn(isolate.host, "isFailing").mockImplementation(() => {
      throw new TypeError("secret is not a function");
    });
    const response = await send("/v2/models/gather/ready", {
      headers: { "x-request-id": "bug-1" },
    });
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({
      status: 500,
      code: "internal",
      error: "Something went wrong on our side; the request id helps us find it.",
      requestId: "bug-1",
    });
    expect(text).not.toContain("secret");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("x-request-id")).toBe("bug-1");
    const line = JSON.parse(String(logged.mock.calls[0]?.[0])) as Record<string, string>;
    expect(line).toMatchObject({ level: "error", event: "request_failed", requestId: "bug-1" });
    expect(line["cause"]).toContain("secret is not a function");
  });

  it("is not logged when the caller is to blame", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const { send, infer } = edgeOf();
    await send("/nothing");
    await send("/v2", { method: "DELETE" });
    await infer("gather", "nonsense");
    const index = [{ name: "index", datatype: "INT64", shape: [1], data: [99] }];
    expect((await infer("gather", index)).status).toBe(422);
    const brokenOff = new ReadableStream({
      pull: (controller) => controller.error(new Error("reset")),
    });
    const broken = await send("/v2/models/gather/infer", { method: "POST", body: brokenOff });
    expect(broken.status).toBe(400);
    expect(logged).not.toHaveBeenCalled();
  });

  it("is where in ONNX Runtime's source an inference failed", async () => {
    const { infer } = edgeOf();
    const response = await infer("gather", [
      { name: "index", datatype: "INT64", shape: [1], data: [99] },
    ]);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ status: 422, code: "inference_failed" });
    expect(text).not.toMatch(/\.cc|\.h:|onnxruntime_src/);
  });
});
