import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";

import type { Standing } from "../../../src/billing/ledger.ts";
import { DEAD_QUEUE, consumeDead } from "../../../src/control/dead-usage.ts";
import control, { contextOf } from "../../../workers/control/index.ts";
import { ANY, CREATE, PRICE, billedEvent, newAccount } from "../../support/accounts.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const api = controlOf();
const { ask, get } = api;

beforeEach(() => publishModels({ m: [1] }));

const batchOf = (bodies: readonly unknown[]) =>
  createMessageBatch(
    DEAD_QUEUE,
    bodies.map((body, index) => ({
      id: `message/${index}`,
      timestamp: new Date(0),
      attempts: 1,
      body,
    })),
  );

const replay = async (query = "") =>
  (await ask("POST", `/v1/usage/dead/replay${query}`, { body: {}, headers: ANY })).json;

describe("what the queue gives up", () => {
  it("is filed in the bucket, listed, and billed once when it is replayed", async () => {
    const account = await newAccount(api);
    const events = [billedEvent(account), billedEvent(account)];
    const batch = batchOf(events);
    await control.queue(batch, env);
    const { explicitAcks } = await getQueueResult(batch, createExecutionContext());
    expect(explicitAcks.toSorted()).toEqual(["message/0", "message/1"]);
    expect((await get("/v1/usage/dead")).json).toMatchObject({
      dead: events.map(({ id }) => ({ reason: "retries_exhausted", body: { id } })),
      isWhole: true,
    });
    expect(await replay()).toEqual({
      replayed: 0,
      left: [
        { id: "message/0", reason: "later" },
        { id: "message/1", reason: "later" },
      ],
      isWhole: true,
    });
    await ask("POST", "/v1/prices", { body: PRICE, headers: CREATE });
    expect(await replay("?dry-run=true")).toMatchObject({ replayed: 2, dryRun: true });
    expect(await replay()).toEqual({ replayed: 2, left: [], isWhole: true });
    expect(await replay()).toMatchObject({ replayed: 0 });
    const { json } = await get(`/v1/accounts/${account}/balance`);
    expect((json as Standing).balance).toBe(-260);
    const { json: audit } = await get("/v1/audit?limit=1");
    expect(audit).toMatchObject([{ action: "usage.replay", after: { replayed: 2 } }]);
  });

  it("is listed by the day on which it was put aside", async () => {
    await control.queue(batchOf(["nonsense"]), env);
    const today = new Date().toISOString().slice(0, 10);
    expect((await get(`/v1/usage/dead?day=${today}`)).json).toMatchObject({ dead: [{}] });
    expect((await get("/v1/usage/dead?day=2020-01-01")).json).toMatchObject({ dead: [] });
    expect((await get("/v1/usage/dead?day=today")).status).toBe(400);
  });

  it("comes again while it can't be filed", async () => {
    const batch = batchOf(["nonsense"]);
    const real = contextOf(env, DEAD_QUEUE);
    const put = () => Promise.reject(new Error("away"));
    await consumeDead(batch, {
      ...real,
      deadUsage: { put } as unknown as typeof real.deadUsage,
      log: { warn() {}, error() {} },
    });
    const result = await getQueueResult(batch, createExecutionContext());
    expect(result.explicitAcks).toEqual([]);
    expect(result.retryMessages.map(({ msgId }) => msgId)).toEqual(["message/0"]);
  });
});
