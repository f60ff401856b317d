import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { LedgerStorage } from "../../../../src/billing/ledger-schema.ts";
import type { LedgerEvent } from "../../../../src/billing/ledger/event.ts";
import { monthOf } from "../../../../src/billing/periods.ts";
import { discountOf } from "../../../../src/billing/price.ts";
import { DAY, HOUR, NOON, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { withBooks } from "./support.ts";

const PRICE = priceOf({
  free: { tokens: 40 },
  tiers: {
    tokens: [
      { above: 90, perUnit: 2 },
      { above: 150, perUnit: 0 },
    ],
  },
});
const PRICES = book(PRICE);

class Crash extends Error {}

/** The ledger dies before its statement number `at`. */
function crashing(storage: LedgerStorage, at: number) {
  let statements = 0;
  const exec: SqlStorage["exec"] = (query, ...bindings) => {
    if (statements++ === at) throw new Crash();
    return storage.sql.exec(query, ...bindings);
  };
  const faulty: LedgerStorage = {
    sql: new Proxy(storage.sql, {
      get: (sql, name) => (name === "exec" ? exec : (Reflect.get(sql, name) as unknown)),
    }),
    transactionSync: (work) => storage.transactionSync(work),
  };
  return { faulty, statements: () => statements };
}

const TABLES = [
  "journal",
  "balances",
  "events",
  "hours",
  "days",
  "month_units",
  "spent",
  "leases",
  "outbox",
];

const dump = ({ sql }: LedgerStorage) =>
  TABLES.map((table) => sql.exec(`SELECT * FROM ${table} ORDER BY 1, 2`).toArray());

const sum = (events: readonly LedgerEvent[]): number =>
  events.reduce((total, { billing }) => total + billing.amount, 0);

/** Requests around the end of a month; the same Idempotency-Key is the same request again. */
const requests = fc
  .uniqueArray(
    fc.record({
      id: fc.nat(60),
      hours: fc.integer({ min: -20, max: 20 }),
      tokens: fc.nat(30),
      key: fc.constantFrom("key_1", "key_2"),
      version: fc.constantFrom(1, 2),
      retried: fc.boolean(),
    }),
    { selector: ({ id }) => id, minLength: 1, maxLength: 25 },
  )
  .map((drawn) =>
    drawn.flatMap(({ id, hours, tokens, key, version, retried }) => {
      const at = Date.UTC(2026, 10, 1) + hours * HOUR;
      const request = (name: string) =>
        ledgerEvent({
          id: name,
          at,
          version,
          units: { tokens },
          price: PRICE,
          billing: { key, ...(retried && { idempotencyKey: `i-${id}` }) },
        });
      return retried ? [request(`e-${id}`), request(`e-${id}-again`)] : [request(`e-${id}`)];
    }),
  );

/** Any order, some twice, in batches; the ledger may die in each before any of its statements. */
const deliveries = requests.chain((events) =>
  fc.record({
    events: fc.constant(events),
    order: fc
      .tuple(fc.shuffledSubarray(events, { minLength: events.length }), fc.subarray(events))
      .map(([all, again]) => [...all, ...again]),
    batches: fc.array(
      fc.record({ size: fc.integer({ min: 1, max: 9 }), crash: fc.option(fc.nat(60)) }),
      { minLength: 1, maxLength: 9 },
    ),
  }),
);

describe("the ledger, whatever happens to the queue and to it", () => {
  it("bills every request once, gives every discount once, and adds up to the receipts", () =>
    fc.assert(
      fc.asyncProperty(deliveries, ({ events, order, batches }) =>
        withBooks(({ ledger, storage, reopen }) => {
          const left = [...order];
          for (let turn = 0; left.length > 0; turn++) {
            const { size = 1, crash = null } = batches[turn % batches.length] ?? {};
            const batch = left.splice(0, size);
            try {
              const { faulty } = crashing(storage, crash ?? Number.POSITIVE_INFINITY);
              reopen(faulty).record(batch, PRICES);
            } catch (error) {
              if (!(error instanceof Crash)) throw error;
              // Nobody acknowledged it: the queue brings it again.
              reopen().record(batch, PRICES);
            }
          }
          const statement = ledger.statement(Date.UTC(2026, 9, 1), Date.UTC(2026, 11, 1));
          expect(statement.usage).toBe(sum(events));
          const originals = events.filter(({ id }) => !id.endsWith("again"));
          expect(statement.repeat).toBe(sum(events) - sum(originals));
          const discount = { allowance: 0, volume: 0 };
          for (const month of Map.groupBy(originals, ({ at }) => monthOf(at)).values()) {
            const tokens = month.reduce((total, { units }) => total + (units.tokens ?? 0), 0);
            const { allowance, volume } = discountOf(PRICE, {}, { tokens });
            discount.allowance += allowance;
            discount.volume += volume;
          }
          expect(statement).toMatchObject(discount);
          expect(statement.closing).toBe(ledger.standing().balance);
          expect(ledger.verify()).toEqual({ ok: true, problems: [] });
        }),
      ),
      { numRuns: 60 },
    ));

  it("leaves nothing behind when it dies before any of its statements", () =>
    withBooks(
      ({ ledger, storage, reopen }) => {
        ledger.enter("credit", { id: "p", amount: 10_000, note: "" });
        const grant = ledger.grant({ isolate: "i", wanted: 900, minimum: 100, ttlSeconds: 60 });
        const billing = { lease: grant.ok ? grant.id : "", idempotencyKey: "i" };
        ledger.record([ledgerEvent({ price: PRICE })], PRICES);
        const batch = [
          ledgerEvent({ price: PRICE, units: { tokens: 99 }, billing }),
          ledgerEvent({ price: PRICE, at: NOON - HOUR, billing }),
          ledgerEvent({ price: PRICE, at: NOON - DAY }),
        ];
        const before = dump(storage);
        const opening = crashing(storage, Number.POSITIVE_INFINITY);
        reopen(opening.faulty);
        const recordUntil = (at: number): boolean => {
          try {
            reopen(crashing(storage, at).faulty).record(batch, PRICES);
            return true;
          } catch (error) {
            if (!(error instanceof Crash)) throw error;
            return false;
          }
        };
        let at = opening.statements();
        for (; !recordUntil(at); at++) expect(dump(storage)).toEqual(before);
        expect(at - opening.statements()).toBeGreaterThan(20);
        expect(reopen().record(batch, PRICES)).toMatchObject({ recorded: 0, duplicates: 3 });
        expect(ledger.verify()).toEqual({ ok: true, problems: [] });
      },
      { exports: ["stripe"] },
    ));
});
