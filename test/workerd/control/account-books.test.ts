import { runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, it } from "vitest";

import type { Statement } from "../../../src/billing/statement.ts";
import type { UsageRows } from "../../../src/billing/usage-report.ts";
import {
  ANY,
  CREATE,
  type EventParts,
  PRICE,
  billedEvent,
  booksOf,
  ledgerOf,
  newAccount,
} from "../../support/accounts.ts";
import { TOKEN, controlOf, publishModels } from "../../support/control.ts";

const control = controlOf();
const { ask, get, send } = control;

const DOLLAR = 1_000_000_000;
let account = "";
let path = "";
beforeAll(() => publishModels({ m: [1] }));

async function fresh(more: object = {}): Promise<void> {
  account = await newAccount(control, more);
  path = `/v1/accounts/${account}`;
}
const enter = (body: object, query = "") =>
  ask("POST", `${path}/credits${query}`, { body, headers: CREATE });
const used = (requests: number, more: EventParts = {}) =>
  booksOf(account).record(
    Array.from({ length: requests }, () => billedEvent(account, more)),
    [PRICE],
  );

describe("entries", () => {
  beforeAll(() => fresh());

  it("are made once by their id, however often they are sent", async () => {
    const payment = { id: "payment-1", amountNano: DOLLAR, note: "by card" };
    const [first, second] = await Promise.all([enter(payment), enter(payment)]);
    expect([first.json, second.json]).toEqual(
      expect.arrayContaining([
        { id: "payment-1", entered: true, balance: DOLLAR },
        { id: "payment-1", entered: false, balance: DOLLAR },
      ]),
    );
    expect((await get(`${path}/balance`)).json).toMatchObject({ balance: DOLLAR });
    const { json } = await get("/v1/audit?limit=200");
    const told = (json as { target: string }[]).filter(({ target }) =>
      target.endsWith("payment-1"),
    );
    expect(told).toMatchObject([{ action: "credit.enter", after: payment }]);
  });

  it("are never changed: another amount under the same id is refused", async () => {
    expect(await enter({ id: "payment-1", amountNano: 2 * DOLLAR })).toMatchObject({
      status: 422,
      json: { code: "invalid_change" },
    });
  });

  it("refund, adjust both ways, and can be tried", async () => {
    const tried = await enter({ id: "a", kind: "refund", amountNano: 5 }, "?dry-run=true");
    expect(tried.json).toEqual({ id: "a", entered: false, balance: DOLLAR + 5, dryRun: true });
    await enter({ id: "a", kind: "refund", amountNano: 5 });
    const { json } = await enter({ id: "a", kind: "adjustment", amountNano: -6 });
    expect(json).toMatchObject({ entered: true, balance: DOLLAR - 1 });
  });

  it.each<[string, object, number]>([
    ["nothing", { amountNano: 0 }, 400],
    ["a credit below zero", { amountNano: -1 }, 400],
    ["a fraction", { amountNano: 0.5 }, 400],
    ["more than a million dollars", { amountNano: 1_000_000 * DOLLAR + 1 }, 422],
    ["less than that below zero", { kind: "adjustment", amountNano: -1_000_001 * DOLLAR }, 422],
    ["an id with spaces", { id: "a b", amountNano: 1 }, 400],
    ["an unknown kind", { kind: "usage", amountNano: 1 }, 400],
  ])("refuse %s", async (_, more, status) => {
    expect((await enter({ id: "refused", ...more })).status).toBe(status);
  });

  it("above a million dollars are made when they are forced, as far as they can be counted", async () => {
    await fresh();
    const entry = { id: "big", amountNano: 1_000_000 * DOLLAR + 1 };
    expect((await enter(entry, "?force=true")).json).toMatchObject({ entered: true });
    const most = { id: "most", amountNano: Number.MAX_SAFE_INTEGER };
    expect((await enter(most, "?force=true")).status).toBe(422);
  });
});

describe("usage", () => {
  beforeAll(async () => {
    await fresh();
    await used(3);
    await used(2, { model: "n", version: 2, units: { tokens: 20 } });
  });

  it("is summed up by what is asked for", async () => {
    const { json } = await get(`${path}/usage?by=model,version`);
    expect((json as UsageRows).rows).toEqual([
      {
        model: "m",
        version: 1,
        requests: 3,
        units: { tokens: 30 },
        amount: 390,
        allowance: 0,
        volume: 0,
        repeated: 0,
      },
      expect.objectContaining({ model: "n", version: 2, requests: 2, amount: 320 }),
    ]);
    const byKey = (await get(`${path}/usage?by=key`)).json as UsageRows;
    expect(byKey.rows).toMatchObject([{ key: "key_1", requests: 5, amount: 710 }]);
  });

  it("is of the period that is asked for", async () => {
    expect((await get(`${path}/usage?from=2020-01`)).json).toEqual({
      from: "2020-01-01T00:00:00.000Z",
      to: "2020-02-01T00:00:00.000Z",
      by: ["day", "model", "version"],
      rows: [],
    });
  });

  it.each([
    "from=yesterday",
    "from=2026-13",
    "from=2026-11-24T22:30:00Z",
    "from=2026-11&to=2026-10",
    "by=colour",
    "by=",
  ])("of %s is refused", async (query) => {
    expect(await get(`${path}/usage?${query}`)).toMatchObject({
      status: 400,
      json: { code: "invalid_request" },
    });
  });
});

describe("an event", () => {
  beforeAll(() => fresh());

  it("is given by its id, with the digest of its receipt", async () => {
    const event = billedEvent(account, { billing: { receipt: "ab".repeat(32) } });
    await booksOf(account).record([event], [PRICE]);
    expect((await get(`${path}/events/${event.id}`)).json).toMatchObject({
      id: event.id,
      requestId: "r",
      key: "key_1",
      units: { tokens: 10 },
      amount: 130,
      allowance: 0,
      receipt: "ab".repeat(32),
    });
    expect(await get(`${path}/events/another`)).toMatchObject({
      status: 404,
      json: { code: "route_not_found", field: "event" },
    });
  });
});

describe("a statement", () => {
  beforeAll(async () => {
    await fresh();
    await enter({ id: "p", amountNano: 1_000, note: '=HYPERLINK("x")' });
    await used(2);
  });

  it("adds up to the balance", async () => {
    const statement = (await get(`${path}/statement`)).json as Statement;
    expect(statement).toMatchObject({ opening: 0, usage: 260, credit: 1_000, closing: 740 });
    expect((await get(`${path}/balance`)).json).toMatchObject({ balance: 740 });
    expect((await ask("POST", `${path}/verify`)).json).toEqual({ ok: true, problems: [] });
  });

  it.each([
    ["json", "application/json", '"closing": 740'],
    ["csv", "text/csv", "closing,"],
    ["html", "text/html", "<h1>Statement</h1>"],
  ])("comes as %s by format and by Accept", async (format, type, part) => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answers = await Promise.all([
      send(`${path}/statement?format=${format}`, { headers }),
      send(`${path}/statement`, { headers: { ...headers, accept: `${type}, */*;q=0.1` } }),
    ]);
    for (const answer of answers) {
      expect(answer.headers.get("content-type")).toContain(type);
      expect(await answer.text()).toContain(part);
    }
  });

  it("may still change for 35 days after its period", async () => {
    const running = (await get(`${path}/statement`)).json as Statement;
    expect(running.isProvisional).toBe(true);
    expect(Date.parse(running.provisionalUntil) - Date.parse(running.to)).toBe(35 * 86_400_000);
    expect(Math.abs(Date.now() - Date.parse(running.recordedUpTo))).toBeLessThan(60_000);
    const past = (await get(`${path}/statement?from=2020-01&to=2020-02`)).json as Statement;
    expect(past).toMatchObject({
      isProvisional: false,
      provisionalUntil: "2020-03-07T00:00:00.000Z",
    });
  });

  it("of another format is refused", async () => {
    expect((await get(`${path}/statement?format=pdf`)).status).toBe(400);
  });
});

describe("dead letters", () => {
  it("are told, and tried again", async () => {
    await fresh({
      exports: [
        { kind: "stripe", secretRef: "EXPORT_UNSET", eventName: "requests", customer: "cus_1" },
      ],
    });
    const old = { at: Date.now() - 34 * 86_400_000 };
    await used(2, old);
    expect((await get(`${path}/outbox`)).json).toMatchObject({ waiting: 2, dead: [] });
    const { json: seen, etag } = await get(path);
    await ask("PUT", path, {
      body: { ...(seen as object), exports: [] },
      headers: { "if-match": etag },
    });
    await runInDurableObject(ledgerOf(account), async (instance, { storage }) => {
      storage.sql.exec("UPDATE outbox SET next = 0");
      await instance.alarm();
    });
    expect((await get(`${path}/outbox`)).json).toMatchObject({
      waiting: 0,
      dead: [
        { target: "stripe/cus_1/requests", error: "The account has no such export any more." },
        {},
      ],
    });
    const replay = (body: object, query = "") =>
      ask("POST", `${path}/outbox/replay${query}`, { body, headers: ANY });
    expect((await replay({}, "?dry-run=true")).json).toEqual({ replayed: 2, dryRun: true });
    expect((await replay({ target: "other" })).json).toEqual({ replayed: 0 });
    expect((await replay({ target: "stripe/cus_1/requests" })).json).toEqual({ replayed: 2 });
    expect((await replay({})).json).toEqual({ replayed: 0 });
  });
});
