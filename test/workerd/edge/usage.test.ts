import { env } from "cloudflare:workers";
import * as v from "valibot";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { UsageEvent } from "../../../src/billing/usage-event.ts";
import type { Catalog, Flag } from "../../../src/catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { edgeOf } from "../../support/edge.ts";
import { gatherGraph, linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { TABULAR_TASK, tabularGraph } from "../protocol/models.ts";

const x = [{ name: "x", datatype: "FP32", shape: [2, 2], data: [1, 2, 3, 4] }];
const index = (row: number) => [{ name: "index", datatype: "INT64", shape: [1], data: [row] }];
const request = {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ inputs: x }),
};
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const next: Flag = {
  state: "ENABLED",
  variants: { next: { version: 2 } },
  defaultVariant: "next",
};

beforeAll(async () => {
  const one = (manifest: Awaited<ReturnType<typeof publishGraph>>) => ({
    versions: { 1: manifest },
    labels: { stable: 1 },
  });
  const linear = await publishGraph(env.MODELS, "linear", linearGraph(2, 2));
  const catalog: Catalog = {
    schema: 1,
    number: 41,
    models: {
      linear: { versions: { 1: linear, 2: { ...linear, version: 2 } }, labels: { stable: 1 } },
      gather: one(await publishGraph(env.MODELS, "gather", gatherGraph(4))),
      shape: one(await publishGraph(env.MODELS, "shape", tabularGraph(), { task: TABULAR_TASK })),
      huge: one({ ...linear, name: "huge", memory: { heapBytes: 200e6, taskBytes: 0 } }),
    },
    flags: {
      flags: { linear: next, shape: { ...next, metadata: { provider: "flagship" } } },
    },
  };
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("usage events", () => {
  it("tell of an answered request what its answer told, and what it used", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { events, infer, post } = edgeOf();
    const before = Date.now();
    const response = await infer("linear", x);
    await infer("linear", x);
    await post("/v1/predict/shape", { inputs: [[3, 1]] });
    const common = { schema: 1, kind: "request", catalog: 41, placement: "edge" };
    const ok = { outcome: "ok", status: 200, billed: true };
    expect(events).toEqual([
      {
        ...common,
        ...ok,
        id: expect.stringMatching(ID),
        at: expect.any(Number),
        requestId: response.headers.get("x-request-id"),
        model: "linear",
        version: 2,
        units: { elements: 4 },
        start: "loaded",
        milliseconds: expect.any(Number),
        flag: "linear",
        variant: "next",
        reason: "STATIC",
      },
      expect.objectContaining({ ...common, ...ok, model: "linear", start: "warm" }),
      expect.objectContaining({
        ...ok,
        model: "shape",
        units: { items: 1, elements: 2 },
        reason: "ERROR",
      }),
    ]);
    expect(new Set(events.map(({ id }) => id)).size).toBe(3);
    for (const event of events) {
      expect(v.parse(UsageEvent, event)).toEqual(event);
      expect(event.at).toBeGreaterThanOrEqual(before);
    }
    const durations = events.map((event) => event.kind === "request" && event.milliseconds);
    expect(durations.every((milliseconds) => Number(milliseconds) > 0)).toBe(true);
  });

  it("name what Flagship chose, for the flags that say so, where it is bound", async () => {
    const details = { value: { version: 1 }, variant: "old", reason: "TARGETING_MATCH" };
    const FLAGS = { getObjectDetails: async () => details } as unknown as Flagship;
    const { events, infer, post } = edgeOf({ FLAGS });
    await post("/v1/predict/shape", { inputs: [[3, 1]] });
    await infer("linear", x);
    expect(events).toMatchObject([
      { version: 1, variant: "old", reason: "TARGETING_MATCH" },
      { version: 2, variant: "next", reason: "STATIC" },
    ]);
  });

  it("tell that stable answered where Flagship did not in time", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const FLAGS = { getObjectDetails: () => new Promise(() => {}) } as unknown as Flagship;
    const { events, post } = edgeOf({ FLAGS });
    const response = await post("/v1/predict/shape", { inputs: [[3, 1]] });
    expect(response.status).toBe(200);
    expect(events).toMatchObject([{ version: 1, reason: "ERROR", outcome: "ok" }]);
  });

  it("name an explicit version without a flag", async () => {
    const { events, infer } = edgeOf();
    await infer("linear/versions/1", x);
    expect(events).toMatchObject([{ version: 1, reason: "EXPLICIT" }]);
    expect(events[0]).not.toHaveProperty("flag");
    expect(events[0]).not.toHaveProperty("variant");
  });

  it.each<[string, string, unknown, string, number, string | undefined]>([
    ["can't be decoded", "gather", [], "invalid_tensor", 400, undefined],
    ["can't be computed", "gather", index(99), "inference_failed", 422, "loaded"],
    ["finds no room", "huge", x, "model_too_large", 507, undefined],
  ])("tell of a request that %s, unbilled", async (_, model, inputs, outcome, status, start) => {
    const { events, infer } = edgeOf();
    expect((await infer(model, inputs)).status).toBe(status);
    expect(events).toEqual([
      expect.objectContaining({ model, outcome, status, billed: false, units: {} }),
    ]);
    expect(events[0]).toHaveProperty("milliseconds");
    expect(events[0] && "start" in events[0] ? events[0].start : undefined).toBe(start);
  });

  it("are not sent for what no version was chosen for", async () => {
    const { events, infer, send } = edgeOf();
    await infer("nobody", x);
    await infer("linear/versions/9", x);
    await send("/v2/models/linear");
    await send("/");
    expect(events).toEqual([]);
  });

  it("travel after the answer, all together when there are many", async () => {
    const { begin, events, isolate } = edgeOf();
    const begun = await Promise.all(
      Array.from({ length: 12 }, () => begin("/v2/models/linear/infer", request)),
    );
    expect(begun.map(({ response }) => response.status)).toEqual(Array(12).fill(200));
    await Promise.all(begun.map(({ settled }) => settled()));
    expect(events).toHaveLength(12);
    expect(new Set(events.map(({ id }) => id)).size).toBe(12);
    expect(isolate.usage.stats).toEqual({ sent: 12, lost: 0, waiting: 0 });
  });

  it("have not left when the answer is there", async () => {
    const { begin, events } = edgeOf();
    const { settled } = await begin("/v2/models/linear/infer", request);
    expect(events).toEqual([]);
    await settled();
    expect(events).toHaveLength(1);
  });

  it("measure a request on a clock that stands still while code computes", async () => {
    const { events, infer } = edgeOf();
    await infer("linear", x);
    let time = 1_000;
    vi.spyOn(performance, "now").mockImplementation(() => time);
    const wait = scheduler.wait.bind(scheduler);
    vi.spyOn(scheduler, "wait").mockImplementation((milliseconds, options) => {
      time += 3;
      return wait(milliseconds, options);
    });
    await infer("linear", x);
    expect(events[1]).toMatchObject({ start: "warm", milliseconds: 3 });
  });
});

/** A queue that fails so often. */
function failingQueue(failures: number) {
  const sent: unknown[] = [];
  let calls = 0;
  const sendBatch = async (messages: Iterable<{ body: unknown }>) => {
    if (++calls <= failures) throw new Error("queue down: secret-account");
    for (const { body } of messages) sent.push(body);
  };
  return { sent, queue: { sendBatch } as unknown as Queue<UsageEvent> };
}

describe("a queue that fails", () => {
  it("once, is tried again: nothing is lost, nothing is sent twice", async () => {
    const { queue, sent } = failingQueue(1);
    const { infer, isolate } = edgeOf({ USAGE: queue });
    expect((await infer("linear", x)).status).toBe(200);
    expect(sent).toHaveLength(1);
    expect(isolate.usage.stats).toEqual({ sent: 1, lost: 0, waiting: 0 });
  });

  it("always, costs no answer: what waits for it is counted, and logged", async () => {
    const wait = scheduler.wait.bind(scheduler);
    vi.spyOn(scheduler, "wait").mockImplementation(() => wait(0));
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const { queue } = failingQueue(Number.POSITIVE_INFINITY);
    const { infer, isolate } = edgeOf({ USAGE: queue });
    const response = await infer("linear", x);
    expect([response.status, response.headers.get("nearside-version")]).toEqual([200, "2"]);
    expect(isolate.usage.stats).toEqual({ sent: 0, lost: 0, waiting: 1 });
    const [line] = logged.mock.calls.map(([text]) => JSON.parse(String(text)) as object);
    expect(line).toEqual({
      level: "error",
      event: "usage_waits",
      events: 1,
      cause: expect.any(String),
    });
  });
});
