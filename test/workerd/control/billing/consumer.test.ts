import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  getQueueResult,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { newId } from "../../../../src/accounts/account.ts";
import type { Standing } from "../../../../src/billing/ledger.ts";
import type { UsageEvent } from "../../../../src/billing/usage-event.ts";
import type { ControlContext } from "../../../../src/control/context.ts";
import { listDead } from "../../../../src/control/dead-usage.ts";
import { consumeUsage } from "../../../../src/control/usage-queue.ts";
import { contextOf } from "../../../../workers/control/index.ts";
import { CREATE, PRICE, billedEvent, ledgerOf, newAccount } from "../../../support/accounts.ts";
import { controlOf, publishModels } from "../../../support/control.ts";

const control = controlOf();

const COST = 130;
const logged: [string, unknown][] = [];
const log = {
  warn: (event: string, fields?: object) => void logged.push([event, fields]),
  error: (event: string, _: unknown, fields?: object) => void logged.push([event, fields]),
};

beforeAll(async () => {
  await publishModels({ m: [1], n: [1] });
  await control.ask("POST", "/v1/prices", { body: PRICE, headers: CREATE });
});

async function consume(events: readonly UsageEvent[], more: object = {}) {
  const batch = createMessageBatch(
    "usage",
    events.map((body, index) => ({
      id: String(index),
      timestamp: new Date(0),
      attempts: 1,
      body,
    })),
  );
  await consumeUsage(batch, { ...contextOf(env, "usage"), log, ...more });
  const { explicitAcks, retryMessages } = await getQueueResult(batch, createExecutionContext());
  return {
    acked: explicitAcks.toSorted(),
    retried: retryMessages.map(({ msgId }) => msgId).toSorted(),
  };
}

/** What was filed of an event. */
async function deadOf({ id }: Pick<UsageEvent, "id">): Promise<unknown> {
  const { files } = await listDead(env.MODELS, { limit: 200 });
  return files.map(({ dead }) => dead).find(({ body }) => (body as UsageEvent).id === id);
}

const owes = async (account: string): Promise<number> => {
  const { json } = await control.get(`/v1/accounts/${account}/balance`);
  return 0 - (json as Standing).balance;
};

describe("the consumer of billed requests", () => {
  it("bills each event once, whoever sends it how often", async () => {
    const [a, b] = [await newAccount(control), await newAccount(control)];
    const events = [billedEvent(a), billedEvent(b), billedEvent(a, { model: "n" })];
    const [first, second, third] = events as [UsageEvent, UsageEvent, UsageEvent];
    const sent = await consume([first, second, third, first]);
    expect(sent).toEqual({ acked: ["0", "1", "2", "3"], retried: [] });
    await Promise.all([consume(events), consume(events.toReversed())]);
    expect(await owes(a)).toBe(2 * COST);
    expect(await owes(b)).toBe(COST);
  });

  it("bills nothing twice across restarts, in the middle and after", async () => {
    const account = await newAccount(control);
    const events = Array.from({ length: 30 }, () => billedEvent(account));
    await consume(events.slice(0, 20));
    await evictDurableObject(ledgerOf(account));
    await consume(events.slice(10));
    await runInDurableObject(ledgerOf(account), (_, state) => state.abort("a crash")).catch(
      () => undefined,
    );
    await consume(events);
    expect(await owes(account)).toBe(30 * COST);
    const { json } = await control.ask("POST", `/v1/accounts/${account}/verify`);
    expect(json).toEqual({ ok: true, problems: [] });
  });

  it("asks again for an event whose price it does not know yet", async () => {
    const account = await newAccount(control);
    const price = { ...PRICE, id: "later" };
    const events = [billedEvent(account), billedEvent(account, { price })];
    expect(await consume(events)).toEqual({ acked: ["0"], retried: ["1"] });
    await control.ask("POST", "/v1/prices", { body: price, headers: CREATE });
    expect(await consume(events)).toEqual({ acked: ["0", "1"], retried: [] });
    expect(await owes(account)).toBe(2 * COST);
  });

  it.each<[string, string, Parameters<typeof billedEvent>[1]]>([
    ["another amount than its price says", "wrong_amount", { billing: { amount: 1 } }],
    ["a day that is in a file already", "too_late", { at: Date.now() - 40 * 86_400_000 }],
    ["units that are none", "invalid_units", { units: { tokens: 10 }, billing: {} }],
  ])(
    "files an event of %s among the dead at once, with a word in the log",
    async (_, reason, more) => {
      const account = await newAccount(control);
      const event = billedEvent(account, more);
      const broken = reason === "invalid_units" ? { ...event, units: { tokens: 0.5 } } : event;
      logged.length = 0;
      expect(await consume([broken])).toEqual({ acked: ["0"], retried: [] });
      expect(await deadOf(broken)).toMatchObject({ reason });
      expect(logged).toEqual([["usage_not_billable", { account, event: event.id, reason }]]);
      expect(await owes(account)).toBe(0);
    },
  );

  it("files events of accounts that are not there among the dead, and bills the others", async () => {
    const account = await newAccount(control);
    const nobody = newId("acc_");
    const nonsense = billedEvent("../other");
    const lost = billedEvent(nobody);
    const events = [lost, billedEvent(account), nonsense];
    logged.length = 0;
    expect(await consume(events)).toEqual({ acked: ["0", "1", "2"], retried: [] });
    expect(await deadOf(lost)).toMatchObject({ reason: "wrong_account" });
    expect(await deadOf(nonsense)).toMatchObject({ reason: "no_account" });
    expect(logged).toContainEqual([
      "usage_not_billable",
      { account: nobody, event: lost.id, reason: "wrong_account" },
    ]);
    expect(logged).toContainEqual([
      "usage_not_billable",
      { event: nonsense.id, reason: "no_account" },
    ]);
    expect(await owes(account)).toBe(COST);
  });

  it("asks again for events of a ledger that can't be reached, and for no others", async () => {
    const [away, account] = [await newAccount(control), await newAccount(control)];
    const real = contextOf(env, "usage");
    const booksOf: ControlContext["booksOf"] = (id) =>
      id === away
        ? { ...real.booksOf(id), record: () => Promise.reject(new Error("away")) }
        : real.booksOf(id);
    const events = [billedEvent(away), billedEvent(account)];
    logged.length = 0;
    expect(await consume(events, { booksOf })).toEqual({ acked: ["1"], retried: ["0"] });
    expect(logged).toEqual([["usage_not_billed", { account: away, events: 1 }]]);
    expect(await consume(events)).toEqual({ acked: ["0", "1"], retried: [] });
    expect([await owes(away), await owes(account)]).toEqual([COST, COST]);
  });

  it("bills the others of an event that the books can't take, which is filed", async () => {
    const account = await newAccount(control);
    const body = { id: "p", amountNano: Number.MAX_SAFE_INTEGER - 200 };
    await control.ask("POST", `/v1/accounts/${account}/credits?force=true`, {
      body,
      headers: CREATE,
    });
    const price = { ...PRICE, id: "slip", perRequest: 2 ** 52 };
    await control.ask("POST", "/v1/prices?force=true", { body: price, headers: CREATE });
    const slips = [billedEvent(account, { price }), billedEvent(account, { price })] as const;
    const sent = await consume([slips[0], billedEvent(account), slips[1], billedEvent(account)]);
    expect(sent).toEqual({ acked: ["0", "1", "2", "3"], retried: [] });
    expect(await deadOf(slips[0])).toBeUndefined();
    expect(await deadOf(slips[1])).toMatchObject({ reason: "unbookable" });
  });

  it("asks again for everything that is billed while the prices can't be read", async () => {
    const account = await newAccount(control);
    const anonymous = { ...billedEvent(account), billing: undefined };
    const store = {
      bucket: { get: () => Promise.reject(new Error("away")), put: () => Promise.resolve(null) },
      namespace: env.CATALOG,
    };
    const events = [billedEvent(account), anonymous];
    expect(await consume(events, { store })).toEqual({ acked: ["1"], retried: ["0"] });
    expect(await consume(events)).toEqual({ acked: ["0", "1"], retried: [] });
    expect(await owes(account)).toBe(COST);
  });
});
