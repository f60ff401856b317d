import { describe, expect, it } from "vitest";

import { DAY, HOUR, NOON, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { withBooks } from "./support.ts";

const PRICES = book(priceOf());

const noonDay = NOON - 12 * HOUR;

describe("the journal", () => {
  it("charges what requests cost and books what is paid", () =>
    withBooks(({ ledger }) => {
      expect(ledger.enter("credit", { id: "p1", amount: 1_000, note: "card" })).toBe(true);
      expect(ledger.record([ledgerEvent(), ledgerEvent()], PRICES)).toEqual({
        recorded: 2,
        duplicates: 0,
        refused: [],
      });
      expect(ledger.standing()).toEqual({
        balance: 740,
        outstanding: 0,
        spentToday: 260,
        spentThisMonth: 260,
      });
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("makes every entry once by its id", () =>
    withBooks(({ ledger }) => {
      const payment = { id: "p1", amount: 5, note: "" };
      expect(ledger.enter("credit", payment)).toBe(true);
      expect(ledger.enter("credit", payment)).toBe(false);
      expect(ledger.enter("refund", payment)).toBe(true);
      expect(ledger.standing().balance).toBe(10);
    }));

  it("adjusts both ways, and takes nothing but adjustments below zero", () =>
    withBooks(({ ledger }) => {
      ledger.enter("adjustment", { id: "a", amount: 50, note: "" });
      ledger.enter("adjustment", { id: "b", amount: -80, note: "" });
      expect(ledger.standing().balance).toBe(-30);
      for (const amount of [0, -1, 0.5, Number.NaN, 2 ** 53]) {
        expect(() => ledger.enter("credit", { id: "x", amount, note: "" })).toThrow(
          /be entered|whole number|2\^53/,
        );
      }
      expect(ledger.verify().ok).toBe(true);
    }));

  it.each([
    ["UPDATE journal SET amount = 1"],
    ["DELETE FROM journal"],
    ["INSERT OR REPLACE INTO journal SELECT * FROM journal"],
    ["UPDATE OR REPLACE journal SET id = 'x'"],
    [
      "INSERT INTO journal SELECT 9, 'x', kind, at, recorded, debit, debit, amount, '' FROM journal",
    ],
    ["INSERT INTO journal SELECT 9, 'x', kind, at, recorded, 'a', 'b', amount, '' FROM journal"],
    ["INSERT INTO journal SELECT 9, 'x', kind, at, recorded, debit, credit, -1, '' FROM journal"],
    ["INSERT INTO journal SELECT 9, 'x', kind, at, recorded, debit, credit, 0.5, '' FROM journal"],
    ["INSERT INTO journal SELECT 9, 'x', 'gift', at, recorded, debit, credit, 1, '' FROM journal"],
  ])("refuses: %s", (query) =>
    withBooks(({ ledger, storage }) => {
      ledger.enter("credit", { id: "p1", amount: 1_000, note: "" });
      expect(() => storage.sql.exec(query)).toThrow(/journal|CHECK|REAL/);
      expect(ledger.standing().balance).toBe(1_000);
      expect(ledger.verify().ok).toBe(true);
    }),
  );

  it("counts to the last nano-dollar below 2^53, and refuses the next one whole", () =>
    withBooks(({ ledger }) => {
      const most = Number.MAX_SAFE_INTEGER;
      ledger.enter("credit", { id: "most", amount: most, note: "" });
      expect(ledger.standing().balance).toBe(most);
      expect(() => ledger.enter("credit", { id: "more", amount: 1, note: "" })).toThrow(/CHECK/);
      expect(ledger.standing().balance).toBe(most);
      expect(ledger.verify().ok).toBe(true);
    }));
});

describe("events", () => {
  it("are recorded once, and again only in words", () =>
    withBooks(({ ledger, reopen }) => {
      const event = ledgerEvent();
      ledger.record([event, event], PRICES);
      const changed = { ...event, billing: { ...event.billing, amount: 9 } };
      expect(reopen().record([changed, event], PRICES)).toMatchObject({ duplicates: 2 });
      expect(ledger.standing().balance).toBe(-130);
    }));

  const halves = { ...ledgerEvent(), units: { tokens: 0.5 } };

  it.each([
    ["wrong_account", ledgerEvent({ billing: { account: "acc_b" } })],
    ["unknown_price", ledgerEvent({ billing: { price: "other" } })],
    ["wrong_amount", ledgerEvent({ billing: { amount: 129 } })],
    ["invalid_units", halves],
    ["too_late", ledgerEvent({ at: noonDay - 35 * DAY - 1 })],
    ["too_late", ledgerEvent({ at: Number.NaN })],
    ["not_yet", ledgerEvent({ at: NOON + 300_001 })],
    ["not_yet", ledgerEvent({ at: 1e300 })],
  ])("are refused with a reason, and don't hold up the others: %s", (reason, event) =>
    withBooks(({ ledger }) => {
      expect(ledger.record([event, ledgerEvent()], PRICES)).toEqual({
        recorded: 1,
        duplicates: 0,
        refused: [{ id: event.id, reason }],
      });
      expect(ledger.standing().balance).toBe(-130);
    }),
  );

  it("with a key that was billed within a day are taken off again", () =>
    withBooks(({ ledger }) => {
      const retry = (at: number, key = "key_1") =>
        ledgerEvent({ at, billing: { key, idempotencyKey: "i" } });
      ledger.record([retry(NOON), retry(NOON - HOUR), retry(NOON, "key_2")], PRICES);
      expect(ledger.statement(noonDay, noonDay + DAY)).toMatchObject({
        usage: 390,
        repeat: 130,
        closing: -260,
      });
      ledger.record([retry(NOON - DAY)], PRICES);
      expect(ledger.standing().balance).toBe(-390);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("are one request where its key began at the same time, and two where it did not", () =>
    withBooks(({ ledger }) => {
      const event = (idempotencyBegun: number, at: number) =>
        ledgerEvent({ at, billing: { idempotencyKey: "i", idempotencyBegun } });
      const begun = NOON - DAY;
      ledger.record([event(begun, NOON - DAY), event(begun, NOON + 1)], PRICES);
      expect(ledger.standing().balance).toBe(-130);
      ledger.record([event(begun + DAY, NOON)], PRICES);
      expect(ledger.standing().balance).toBe(-260);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("that the books can't take don't take the others with them", () =>
    withBooks(({ ledger, reopen }) => {
      const price = priceOf({ id: "slip", perRequest: 2 ** 52 });
      const prices = book(priceOf(), price);
      const [fits, breaks] = [ledgerEvent({ price }), ledgerEvent({ price })];
      const others = [ledgerEvent(), ledgerEvent()];
      expect(ledger.record([fits, ...others, breaks], prices)).toEqual({
        recorded: 3,
        duplicates: 0,
        refused: [{ id: breaks.id, reason: "unbookable" }],
      });
      expect(reopen().record([breaks, ledgerEvent()], prices).recorded).toBe(1);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("use up allowances and tiers in the order of their recording, month by month", () =>
    withBooks(({ ledger }) => {
      const price = priceOf({
        perRequest: 0,
        free: { tokens: 15 },
        tiers: { tokens: [{ above: 25, perUnit: 1 }] },
      });
      const october = Date.UTC(2026, 9, 31, 23, 59);
      const event = (at: number) => ledgerEvent({ at, price });
      ledger.record([event(NOON), event(october), event(NOON)], book(price));
      ledger.record([event(NOON)], book(price));
      expect(ledger.statement(noonDay, noonDay + DAY)).toMatchObject({
        usage: 90,
        allowance: 45,
        volume: 10,
        closing: -35,
      });
      expect(ledger.statement(Date.UTC(2026, 9, 1), Date.UTC(2026, 10, 1))).toMatchObject({
        usage: 30,
        allowance: 30,
        closing: 0,
      });
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("go to every export of the account, once", () =>
    withBooks(
      ({ ledger, clock }) => {
        const event = ledgerEvent();
        ledger.record([event, event], PRICES);
        ledger.record([event], PRICES);
        expect(ledger.outbox.take("stripe", 10, clock.now)).toMatchObject([
          { target: "stripe", event, attempts: 0 },
        ]);
        expect(ledger.outbox.take("openmeter", 10, clock.now)).toHaveLength(1);
      },
      { exports: ["stripe", "openmeter"] },
    ));

  it("tell exports what is charged, and nothing of retries, priced or free", () =>
    withBooks(
      ({ ledger, clock }) => {
        const free = priceOf({ id: "free", perRequest: 10, free: { tokens: 15 } });
        const gift = priceOf({ id: "gift", perRequest: 0, perUnit: {} });
        const twice = (price: typeof free) =>
          [1, 2].map(() => ledgerEvent({ price, billing: { idempotencyKey: price.id } }));
        const events = [...twice(free), ledgerEvent({ price: free }), ...twice(gift)];
        ledger.record(events, book(free, gift));
        const told = ledger.outbox.take("stripe", 10, clock.now);
        expect(told.map(({ event: { billing, net } }) => [billing.price, net])).toEqual([
          ["free", 10],
          ["free", 25],
          ["gift", 0],
        ]);
        const charged = told.reduce((sum, { event }) => sum + event.net, 0);
        expect(ledger.standing().balance).toBe(-charged);
        expect(ledger.verify()).toEqual({ ok: true, problems: [] });
      },
      { exports: ["stripe"] },
    ));
});

describe("a statement", () => {
  it("adds up over any hours, and follows from the one before", () =>
    withBooks(({ ledger, clock }) => {
      ledger.enter("credit", { id: "p", amount: 10_000, note: "card" });
      for (let hour = 0; hour < 60; hour++) {
        const tokens = hour * 7;
        clock.now = NOON + hour * HOUR;
        ledger.record([ledgerEvent({ at: NOON + hour * HOUR, units: { tokens } })], PRICES);
      }
      clock.now = NOON + 60 * HOUR;
      ledger.enter("refund", { id: "r", amount: 33, note: "sorry" });
      const whole = ledger.statement(NOON, NOON + 61 * HOUR);
      expect(whole).toMatchObject({ opening: 0, usage: 43_170, credit: 10_000, refund: 33 });
      expect(whole.closing).toBe(ledger.standing().balance);
      for (const cut of [1, 11, 12, 13, 36, 37, 60]) {
        const before = ledger.statement(NOON, NOON + cut * HOUR);
        const after = ledger.statement(NOON + cut * HOUR, NOON + 61 * HOUR);
        expect(after.opening).toBe(before.closing);
        expect(before.usage + after.usage).toBe(whole.usage);
        expect(after.closing).toBe(whole.closing);
      }
    }));

  it("has a line for each model, version, key and placement, and each entry that is not metered", () =>
    withBooks(({ ledger }) => {
      ledger.enter("adjustment", { id: "a", amount: -5, note: "a fee" });
      ledger.record(
        [
          ledgerEvent(),
          ledgerEvent({ units: { tokens: 5, items: 1 } }),
          ledgerEvent({ version: 2 }),
          ledgerEvent({ placement: "origin" }),
          ledgerEvent({ billing: { key: "key_2" } }),
        ],
        PRICES,
      );
      const { lines, entries } = ledger.statement(noonDay, noonDay + DAY);
      expect(lines).toHaveLength(4);
      expect(lines[0]).toEqual({
        model: "m",
        version: 1,
        key: "key_1",
        placement: "edge",
        requests: 2,
        units: { tokens: 15, items: 1 },
        amount: 245,
        allowance: 0,
        volume: 0,
        repeated: 0,
      });
      expect(entries).toMatchObject([{ kind: "adjustment", amount: -5, note: "a fee" }]);
    }));

  it.each([
    ["backwards", NOON, NOON - HOUR],
    ["empty", NOON, NOON],
    ["from within an hour", NOON + 1, NOON + HOUR],
    ["of no time", Number.NaN, NOON],
    ["of hours that are gone", NOON - 500 * DAY, NOON - 499 * DAY],
  ])("%s is refused", (_, from, to) =>
    withBooks(({ ledger }) => {
      expect(() => ledger.statement(from, to)).toThrow(
        expect.objectContaining({ code: "invalid_period" }),
      );
    }),
  );
});

describe("verify", () => {
  it.each([
    ["UPDATE balances SET debits = debits + 1", "a balance"],
    ["UPDATE days SET amount = amount + 1", "a day's sums"],
    ["DELETE FROM days", "a day's sums"],
    ["UPDATE hours SET allowance = 1", "an hour's sums"],
    ["DELETE FROM events WHERE seq = 1", "a day's events"],
    ["UPDATE events SET amount = amount + 1 WHERE seq = 1", "a day's events"],
    [`UPDATE hours SET units = '{"tokens":19}'`, "an hour's units"],
    ["UPDATE month_units SET count = 3", "a month's units"],
    ["UPDATE spent SET amount = 3", "what was spent"],
    ["DELETE FROM spent", "what was spent"],
    ["UPDATE leases SET drawn = 3", "what a lease has paid"],
  ])("finds: %s", (query, problem) =>
    withBooks(({ ledger, storage }) => {
      ledger.enter("credit", { id: "p", amount: 9_000, note: "" });
      ledger.grant({ isolate: "i", wanted: 500, minimum: 100, ttlSeconds: 60 });
      const billing = { lease: "lease-1" };
      ledger.record([ledgerEvent({ billing }), ledgerEvent({ billing })], PRICES);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
      storage.sql.exec(query);
      const { ok, problems } = ledger.verify();
      expect(ok).toBe(false);
      expect(problems.join("\n")).toContain(problem);
    }),
  );
});
