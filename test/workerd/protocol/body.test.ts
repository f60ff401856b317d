import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { edgeOf } from "../../support/edge.ts";
import { linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { TABULAR_TASK, putVersions, tabularGraph } from "./models.ts";

const MAX_BYTES = 1_000;
const MAX_TENSOR_BYTES = 4 * 1024 * 1024;

const edge = edgeOf();

/** A body that counts what is taken from it. */
function countedBody(chunks: Iterable<Uint8Array>) {
  const source = chunks[Symbol.iterator]();
  const seen = { bytes: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const { done, value } = source.next();
        if (done) return controller.close();
        seen.bytes += value.length;
        controller.enqueue(value);
      },
      cancel() {
        seen.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, seen };
}

function* spaces(chunk: number, total = Number.POSITIVE_INFINITY): Generator<Uint8Array> {
  for (let sent = 0; sent < total; sent += chunk) yield new Uint8Array(chunk).fill(0x20);
}

const predict = (body: BodyInit, headers: Record<string, string> = {}): Promise<Response> =>
  edge.send("/v1/predict/shape", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });

const problem = async (response: Response): Promise<object> => ({
  status: response.status,
  ...(await response.json<object>()),
});

/** A valid body of exactly so many bytes. */
const padded = (bytes: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(new TextEncoder().encode('{"inputs":[3,1]}'.padEnd(bytes)));

beforeAll(async () => {
  await putVersions(env.CATALOG, [
    await publishGraph(env.MODELS, "shape", tabularGraph(), {
      task: TABULAR_TASK,
      limits: { maxBatch: 64, maxBodyBytes: MAX_BYTES },
    }),
    await publishGraph(env.MODELS, "linear", linearGraph(2, 2)),
  ]);
  // Loads the model, so that no timer of the load gets in the way.
  await predict(padded(20));
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a request's body", () => {
  it.each([
    ["with", { "content-length": String(MAX_BYTES) }],
    ["without", {}],
  ])("may be as long as the limit, %s a declared length", async (_with, headers) => {
    expect((await predict(padded(MAX_BYTES), headers)).status).toBe(200);
    const { stream } = countedBody([
      padded(MAX_BYTES).subarray(0, 7),
      padded(MAX_BYTES).subarray(7),
    ]);
    expect((await predict(stream, headers)).status).toBe(200);
  });

  it("is refused by its declared length before any of it is read", async () => {
    const { stream, seen } = countedBody(spaces(100));
    const response = await predict(stream, { "content-length": String(MAX_BYTES + 1) });
    expect(await problem(response)).toMatchObject({
      status: 413,
      code: "body_too_large",
      detail: `The body may have ${MAX_BYTES} bytes at most.`,
    });
    expect(seen).toEqual({ bytes: 0, cancelled: true });
  });

  it.each([
    [1, MAX_BYTES + 1],
    [100, MAX_BYTES + 100],
    [MAX_BYTES, 2 * MAX_BYTES],
    [50_000, 50_000],
  ])("without a length is read no further than the limit, in chunks of %i", async (chunk, most) => {
    const { stream, seen } = countedBody(spaces(chunk));
    const response = await predict(stream);
    expect(await problem(response)).toMatchObject({ status: 413, code: "body_too_large" });
    expect(seen).toEqual({ bytes: most, cancelled: true });
  });

  it("that is longer than it declared is refused", async () => {
    const { stream } = countedBody(spaces(100, 2 * MAX_BYTES));
    const response = await predict(stream, { "content-length": "5" });
    expect(await problem(response)).toMatchObject({ status: 413, code: "body_too_large" });
  });

  it("of more arrays than fit an isolate is refused before it is parsed", async () => {
    const response = await edge.send("/v2/models/linear/infer", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"inputs":[${"[],".repeat(300_000)}[]]}`,
    });
    expect(await problem(response)).toMatchObject({ status: 400, code: "invalid_request" });
  });

  it("of tensors has a limit of its own", async () => {
    const chunk = 1024 * 1024;
    const { stream, seen } = countedBody(spaces(chunk));
    const response = await edge.send("/v2/models/linear/infer", { method: "POST", body: stream });
    expect(await problem(response)).toMatchObject({
      status: 413,
      code: "body_too_large",
      error: `The body may have ${MAX_TENSOR_BYTES} bytes at most.`,
    });
    expect(seen).toEqual({ bytes: MAX_TENSOR_BYTES + chunk, cancelled: true });
  });

  it.each([
    ["with", { "content-length": "20" }],
    ["without", {}],
  ])("that breaks off is the caller's error, %s a declared length", async (_with, headers) => {
    const chunks = function* (): Generator<Uint8Array> {
      yield padded(20).subarray(0, 10);
      throw new Error("secret: connection reset by 10.0.0.1");
    };
    const response = await predict(countedBody(chunks()).stream, headers);
    const body = await response.text();
    expect(JSON.parse(body)).toMatchObject({
      status: 400,
      code: "invalid_request",
      detail: "The body broke off before its end.",
    });
    expect(body).not.toContain("secret");
  });

  it.each([
    ["with", { "content-length": "20" }],
    ["without", {}],
  ])(
    "that never ends is refused after 30 seconds, %s a declared length",
    async (_with, headers) => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      const begun = Promise.withResolvers<void>();
      let cancelled = false;
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(padded(20).subarray(0, 10)),
        pull: () => begun.resolve(),
        cancel: () => void (cancelled = true),
      });
      let settled = false;
      const answering = predict(stream, headers).finally(() => (settled = true));
      await begun.promise;
      await vi.advanceTimersByTimeAsync(29_999);
      expect(settled).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(await problem(await answering)).toMatchObject({ status: 408, code: "body_timeout" });
      // The platform lets nobody stop a read of the whole body; it ends with the request.
      expect(cancelled).toBe(_with === "without");
    },
  );

  it("that ends in time leaves no timer behind", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    expect((await predict(padded(20))).status).toBe(200);
    expect((await predict(padded(2 * MAX_BYTES))).status).toBe(413);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is not read for a model that there is not, nor of a type that is not taken", async () => {
    for (const [path, type] of [
      ["/v1/predict/nothing", "application/json"],
      ["/v2/models/nothing/infer", "application/json"],
      ["/v1/predict/shape", "image/png"],
      ["/v2/models/linear/infer", "image/png"],
      ["/v2/models/linear", "application/json"],
      ["/nothing", "application/json"],
    ] as const) {
      const { stream, seen } = countedBody(spaces(100));
      const response = await edge.send(path, {
        method: "POST",
        headers: { "content-type": type },
        body: stream,
      });
      expect([404, 405, 415]).toContain(response.status);
      expect(seen.bytes).toBe(0);
    }
  });
});
