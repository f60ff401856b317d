import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import type { RequestEvent, ShadowEvent } from "../../../src/billing/usage-event.ts";
import type { ControlContext } from "../../../src/control/context.ts";
import { consumeUsage } from "../../../src/control/usage-queue.ts";
import type { RolloutView } from "../../../src/rollout/view.ts";
import control, { contextOf } from "../../../workers/control/index.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const { ask, get } = controlOf();

const COMMON = {
  schema: 1,
  at: 0,
  requestId: "r",
  placement: "edge",
  units: { tokens: 3 },
} as const;

const requestOf = (model: string, more: Partial<RequestEvent> = {}): RequestEvent => ({
  ...COMMON,
  kind: "request",
  id: crypto.randomUUID(),
  model,
  version: 2,
  catalog: 1,
  start: "warm",
  milliseconds: 1,
  flag: model,
  variant: "next",
  reason: "SPLIT",
  outcome: "ok",
  status: 200,
  billed: true,
  ...more,
});

const shadow: ShadowEvent = {
  ...COMMON,
  kind: "shadow",
  id: "shadow-1",
  model: "b",
  version: 2,
  catalog: 1,
  against: 1,
  unitsAgainst: { tokens: 3 },
  outcome: "compared",
  comparison: { kind: "classification", items: 4, flips: 1, distances: [0, 0, 0, 1] },
  billed: false,
};

const batchOf = (bodies: readonly unknown[]) =>
  createMessageBatch(
    "usage",
    bodies.map((body, index) => ({
      id: String(index),
      timestamp: new Date(0),
      attempts: 1,
      body,
    })),
  );

beforeAll(() => publishModels({ a: [1, 2], b: [1, 2] }));

describe("the consumer of the queue `usage`", () => {
  it("hands events to their models, each once, and acknowledges all of them", async () => {
    const started = await ask("POST", "/v1/models/a/rollout", {
      body: { version: 2 },
      headers: { "if-none-match": "*" },
    });
    expect(started.status).toBe(201);
    const { number: catalog } = (await get("/v1/catalog")).json as { number: number };
    const event = requestOf("a", { catalog });
    const failed = requestOf("a", { catalog, outcome: "internal", status: 500 });
    const batch = batchOf([event, failed, event, shadow]);
    const execution = createExecutionContext();
    await control.queue(batch, env);
    const result = await getQueueResult(batch, execution);
    expect(result.explicitAcks.toSorted()).toEqual(["0", "1", "2", "3"]);
    expect(result.retryMessages).toEqual([]);
    const { stats } = (await get("/v1/models/a/rollout")).json as RolloutView;
    expect(stats.candidate).toEqual({ requests: 2, errors: 1 });
    expect(JSON.stringify((await get("/v1/models/b/shadows")).json)).toContain('"items":4');
  });

  it("files what is no event among the dead at once, with a word in the log", async () => {
    const warned: unknown[] = [];
    const batch = batchOf([{ kind: "request" }, "nonsense", { ...shadow, billed: true }]);
    await consumeUsage(batch, {
      ...contextOf(env, "usage"),
      log: { warn: (event, fields) => void warned.push([event, fields?.field]), error() {} },
    });
    const result = await getQueueResult(batch, createExecutionContext());
    expect(result.explicitAcks.toSorted()).toEqual(["0", "1", "2"]);
    expect(result.retryMessages).toEqual([]);
    const { json } = await get("/v1/usage/dead");
    expect(json).toMatchObject({
      dead: [
        { id: "0", reason: "malformed", body: { kind: "request" } },
        { id: "1", reason: "malformed", body: "nonsense" },
        { id: "2", reason: "malformed" },
      ],
      isWhole: true,
    });
    expect(warned).toEqual([
      ["usage_malformed", expect.any(String)],
      ["usage_malformed", ""],
      ["usage_malformed", "billed"],
    ]);
  });

  it("asks again for the events of a model that can't count now, and only for those", async () => {
    const real = contextOf(env, "usage");
    const rolloutsOf: ControlContext["rolloutsOf"] = (model) =>
      model === "a"
        ? { ...real.rolloutsOf(model), record: () => Promise.reject(new Error("away")) }
        : real.rolloutsOf(model);
    const errors: string[] = [];
    const batch = batchOf([requestOf("a"), requestOf("b"), requestOf("a"), "nonsense"]);
    await consumeUsage(batch, {
      ...real,
      rolloutsOf,
      log: { warn() {}, error: (event) => void errors.push(event) },
    });
    const result = await getQueueResult(batch, createExecutionContext());
    expect(result.explicitAcks.toSorted()).toEqual(["1", "3"]);
    expect(result.retryMessages.map(({ msgId }) => msgId).toSorted()).toEqual(["0", "2"]);
    expect(errors).toEqual(["usage_not_counted"]);
  });

  it("asks again for what is no event while it can't be filed, and later each time", async () => {
    const delays: unknown[] = [];
    const message = (attempts: number) => ({
      id: "m",
      body: "nonsense",
      attempts,
      timestamp: new Date(0),
      ack: () => delays.push("acked"),
      retry: (options?: QueueRetryOptions) => delays.push(options?.delaySeconds),
    });
    const real = contextOf(env, "usage");
    const put = () => Promise.reject(new Error("away"));
    await consumeUsage(
      { messages: [1, 5, 10, 99].map(message) },
      {
        ...real,
        deadUsage: { put } as unknown as typeof real.deadUsage,
        log: { warn() {}, error() {} },
      },
    );
    expect(delays).toEqual([2, 32, 900, 900]);
  });
});
