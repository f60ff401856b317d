import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { edgeOf } from "../../support/edge.ts";
import { linearGraph } from "../../support/graphs.ts";
import { publishGraph, putCatalog } from "../../support/publish-graph.ts";

const HEAP = 16_777_216;

const x = (width: number) => [
  { name: "x", datatype: "FP32", shape: [1, width], data: Array<number>(width).fill(1) },
];

/** A bucket whose reads go through `read`. */
function bucketOf(read: (get: () => Promise<R2ObjectBody | null>) => Promise<unknown>): R2Bucket {
  const bucket = { get: (key: string) => read(() => env.MODELS.get(key)) };
  return bucket as unknown as R2Bucket;
}

const problem = async (response: Response): Promise<object> => ({
  status: response.status,
  retryAfter: response.headers.get("retry-after"),
  ...(await response.json<object>()),
});

beforeAll(async () => {
  const manifests = [
    await publishGraph(env.MODELS, "huge", linearGraph(2, 1), {
      memory: { heapBytes: 200e6, taskBytes: 0 },
    }),
  ];
  // A graph of its own for each test: what one has brought into the cache, the next would not read from R2.
  for (const [index, name] of ["down", "broken", "slow", "next", "left", "gone"].entries()) {
    manifests.push(await publishGraph(env.MODELS, name, linearGraph(2, 10 + index)));
  }
  await putCatalog(env.CATALOG, manifests);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a model that can't be read from R2", () => {
  it.each([
    ["down", "R2 refuses", () => Promise.reject(new Error("secret: error 10001"))],
    [
      "broken",
      "R2 breaks off",
      () =>
        Promise.resolve({
          size: 0,
          body: new ReadableStream({
            pull: (controller) => controller.error(new Error("secret: reset")),
          }),
        }),
    ],
  ])("%s: is unavailable while %s, and served after the back-off", async (model, _how, fail) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    vi.useFakeTimers({ toFake: ["Date"] });
    let isDown = true;
    let reads = 0;
    const { infer, send } = edgeOf({
      MODELS: bucketOf(async (get) => {
        reads++;
        if (!isDown) return get();
        const size = (await get())?.size ?? 0;
        return { ...(await fail()), size };
      }),
    });
    expect((await send(`/v2/models/${model}/ready`)).status).toBe(200);

    const first = await infer(model, x(2));
    const text = await first.clone().text();
    expect(await problem(first)).toMatchObject({
      status: 503,
      code: "model_unavailable",
      retryAfter: "1",
    });
    expect(text).not.toContain("secret");
    expect(reads).toBe(2);

    isDown = false;
    const during = await infer(model, x(2));
    expect(await problem(during)).toMatchObject({ status: 503, code: "model_unavailable" });
    expect(reads).toBe(2);
    const notReady = await send(`/v2/models/${model}/ready`);
    expect(await problem(notReady)).toMatchObject({ status: 503, retryAfter: "1" });

    vi.setSystemTime(Date.now() + 1_000);
    expect((await send(`/v2/models/${model}/ready`)).status).toBe(200);
    const after = await infer(model, x(2));
    expect([after.status, after.headers.get("nearside-start")]).toEqual([200, "loaded"]);
    expect((await infer(model, x(2))).headers.get("nearside-start")).toBe("warm");
  });
});

describe("an isolate without room", () => {
  it("refuses a model that can never fit, for good", async () => {
    const { calls, infer } = edgeOf();
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await problem(await infer("huge", x(2)))).toMatchObject({
        status: 507,
        code: "model_too_large",
        retryAfter: null,
        error: "huge needs 200.0 MB of memory; an edge isolate may use 100.7 MB.",
      });
    }
    expect(calls).toEqual(["CATALOG.get"]);
  });

  it("asks to come back when others keep theirs, and serves when they are done", async () => {
    const released = Promise.withResolvers<void>();
    const { infer, isolate } = edgeOf({
      MODEL_BUDGET_BYTES: String(1.5 * HEAP),
      MODELS: bucketOf(async (get) => {
        await released.promise;
        return get();
      }),
    });
    vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
    const slow = infer("slow", x(2));
    await vi.waitFor(() => expect(isolate.host.stats().models).toHaveLength(1));
    const next = infer("next", x(2));
    await vi.waitFor(() => expect(isolate.host.stats().models).toHaveLength(2));
    for (let second = 0; second < 6; second++) await vi.advanceTimersByTimeAsync(1_000);
    expect(await problem(await next)).toMatchObject({
      status: 503,
      code: "isolate_over_budget",
      retryAfter: "1",
    });
    vi.useRealTimers();
    released.resolve();
    expect((await slow).status).toBe(200);
    expect((await infer("next", x(2))).status).toBe(200);
    expect(isolate.host.stats().heldBytes).toBe(HEAP);
  });
});

describe("a caller that goes away in the middle of the load it began", () => {
  it("leaves the load to the others, who are answered by it", async () => {
    const released = Promise.withResolvers<void>();
    const { infer, isolate, calls, send } = edgeOf({
      MODELS: bucketOf(async (get) => {
        await released.promise;
        return get();
      }),
    });
    const controller = new AbortController();
    const first = send("/v2/models/left/infer", {
      method: "POST",
      body: JSON.stringify({ inputs: x(2) }),
      headers: { "content-type": "application/json" },
      signal: controller.signal,
    });
    await vi.waitFor(() => expect(calls).toContain("MODELS.get"));
    const others = Array.from({ length: 5 }, () => infer("left", x(2)));
    controller.abort();
    released.resolve();
    for (const response of await Promise.all(others)) {
      expect([response.status, response.headers.get("nearside-start")]).toEqual([200, "loaded"]);
    }
    await first.catch(() => {});
    expect(isolate.host.stats()).toMatchObject({ loads: 1, takeovers: 0 });
  });

  it("and takes its I/O along, is replaced by one of the others", async () => {
    let reads = 0;
    const { infer, isolate } = edgeOf({
      MODELS: bucketOf((get) => (reads++ === 0 ? new Promise(() => {}) : get())),
    });
    vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
    const first = infer("gone", x(2));
    await vi.waitFor(() => expect(reads).toBe(1));
    const others = Array.from({ length: 5 }, () => infer("gone", x(2)));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(reads).toBe(1);
    await vi.advanceTimersByTimeAsync(1_000);
    for (const response of await Promise.all(others)) expect(response.status).toBe(200);
    expect(reads).toBe(2);
    // What is left of the first load ends when its read is given up.
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await first).status).toBe(200);
    expect(isolate.host.stats()).toMatchObject({ loads: 2, takeovers: 1, heldBytes: HEAP });
  });
});
