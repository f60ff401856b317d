import { evictDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import type { Begun } from "../../../src/billing/idempotency.ts";
import type { LeaseRequest } from "../../../src/billing/ledger/leases.ts";
import type { Standing } from "../../../src/billing/ledger.ts";
import {
  CREATE,
  PRICE,
  billedEvent,
  booksOf,
  ledgerOf,
  newAccount,
} from "../../support/accounts.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const control = controlOf();
const ledgers = exports.Ledgers;

const REQUEST: LeaseRequest = { isolate: "i", wanted: 80, minimum: 10, ttlSeconds: 60 };

async function paid(amountNano: number): Promise<string> {
  const account = await newAccount(control);
  const body = { id: "p", amountNano };
  await control.ask("POST", `/v1/accounts/${account}/credits`, { body, headers: CREATE });
  return account;
}
const tokenOf = (begun: readonly Begun[]): string => {
  const first = begun.find(({ state }) => state === "new");
  if (first?.state !== "new") throw new Error("nobody began");
  return first.token;
};
const standingOf = async (account: string) =>
  (await control.get(`/v1/accounts/${account}/balance`)).json as Standing;

beforeAll(() => publishModels({ m: [1] }));

describe("what the edge asks of ledgers", () => {
  it("gives leases that come back, and refuses who has nothing", async () => {
    const account = await paid(800);
    const lease = await ledgers.grant(account, REQUEST);
    if (!lease.ok) throw new Error(lease.code);
    expect(lease.credit).toBe(80);
    expect(await standingOf(account)).toMatchObject({ balance: 800, outstanding: 80 });
    await ledgers.giveBack(account, lease.id, 30);
    expect(await standingOf(account)).toMatchObject({ outstanding: 50 });
    const poor = await newAccount(control);
    expect(await ledgers.grant(poor, REQUEST)).toMatchObject({
      ok: false,
      code: "payment_required",
    });
  });

  it("remembers leases over a restart", async () => {
    const account = await paid(800);
    await ledgers.grant(account, REQUEST);
    await evictDurableObject(ledgerOf(account));
    expect(await standingOf(account)).toMatchObject({ outstanding: 80 });
  });

  it("refuses a suspended account at once", async () => {
    const account = await paid(800);
    const { json, etag } = await control.get(`/v1/accounts/${account}`);
    await control.ask("PUT", `/v1/accounts/${account}`, {
      body: { ...(json as object), status: "suspended" },
      headers: { "if-match": etag },
    });
    expect(await ledgers.grant(account, REQUEST)).toMatchObject({ code: "account_suspended" });
  });

  it("refuses an account that nobody opened: its ledger is not out of reach", async () => {
    expect(await ledgers.grant("acc_aaaaaaaaaaaaaaaa", REQUEST)).toMatchObject({
      ok: false,
      code: "payment_required",
    });
  });

  it("lets one of two requests with the same Idempotency-Key answer", async () => {
    const account = await paid(1);
    const begun = await Promise.all([1, 2].map(() => ledgers.begin(account, "hash", "digest")));
    expect(begun.map(({ state }) => state).toSorted()).toEqual(["new", "running"]);
    const answer = { status: 201, headers: { a: "b" }, body: new Uint8Array([1, 2]) };
    const token = tokenOf(begun);
    await ledgers.finish(account, "hash", "another", { ...answer, status: 500 });
    await ledgers.finish(account, "hash", token, answer);
    await evictDurableObject(ledgerOf(account));
    expect(await ledgers.begin(account, "hash", "digest")).toEqual({ state: "done", ...answer });
    expect(await ledgers.begin(account, "hash", "other")).toEqual({ state: "other_body" });
    const stranger = await paid(1);
    const other = await ledgers.begin(stranger, "hash", "digest");
    await ledgers.finish(stranger, "hash", tokenOf([other]));
    expect(await ledgers.begin(stranger, "hash", "other")).toMatchObject({ state: "new" });
  });

  it("sums up the usage of the account that asks, and of no other", async () => {
    const [account, other] = [await paid(1_000), await paid(1_000)];
    await booksOf(account).record([billedEvent(account)], [PRICE]);
    const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000;
    const query = { from: hour - 3_600_000, to: hour + 3_600_000, by: ["model"] } as const;
    expect(await ledgers.usage(account, query)).toMatchObject({
      ok: true,
      value: {
        by: ["model"],
        rows: [{ model: "m", requests: 1, units: { tokens: 10 }, amount: 130 }],
      },
    });
    expect(await ledgers.usage(other, query)).toMatchObject({ value: { rows: [] } });
  });

  it("answers a period that can't be with the reason: the ledger is not out of reach", async () => {
    const account = await paid(1);
    expect(await ledgers.usage(account, { from: 1, to: 2, by: [] })).toMatchObject({
      ok: false,
      code: "invalid_request",
      field: "from",
    });
  });

  it("lets who has no credit use the free units of a price, and no more", async () => {
    const price = { ...PRICE, id: "free-1", model: "m", perRequest: 0, free: { tokens: 100 } };
    await control.ask("POST", "/v1/prices", { body: price, headers: CREATE });
    const account = await newAccount(control);
    const request = { ...REQUEST, minimum: 300 };
    expect(await ledgers.grant(account, request)).toMatchObject({ ok: true, credit: 300 });
    expect(await ledgers.grant(account, request)).toMatchObject({
      ok: false,
      code: "payment_required",
      available: 0,
    });
  });
});
