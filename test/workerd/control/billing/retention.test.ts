import { describe, expect, it } from "vitest";

import { horizonOf } from "../../../../src/billing/ledger/retention.ts";
import { DAY, HOUR, NOON, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { type Books, withBooks } from "./support.ts";

const PRICES = book(priceOf());

/** Six events, of today and the day before, once they are 36 days old. */
function oldEvents({ ledger, clock }: Books) {
  const events = [0, 1, 0, 1, 0, 0].map((day) => ledgerEvent({ at: NOON - day * DAY }));
  ledger.record(events, PRICES);
  clock.now = NOON + 36 * DAY;
  return events;
}

describe("events older than 35 days", () => {
  it("go into files by day, in the order they were recorded", () =>
    withBooks((books) => {
      const events = oldEvents(books);
      const { ledger } = books;
      const names: string[] = [];
      const ids: unknown[] = [];
      for (;;) {
        const file = ledger.nextFile(3);
        if (file === undefined) break;
        names.push(file.name);
        for (const line of file.body.trimEnd().split("\n")) {
          const { id, units, amount } = JSON.parse(line) as Record<string, unknown>;
          expect([units, amount]).toEqual([{ tokens: 10 }, 130]);
          ids.push(id);
        }
        ledger.confirmFile(file);
      }
      expect(names).toEqual([
        "events/acc_a/2026-11-23/2-4.ndjson",
        "events/acc_a/2026-11-24/1-5.ndjson",
        "events/acc_a/2026-11-24/6-6.ndjson",
      ]);
      expect(ids.toSorted()).toEqual(events.map(({ id }) => id).toSorted());
    }));

  it("are the same file until it is confirmed, however often, and leave the sums alone", () =>
    withBooks((books) => {
      oldEvents(books);
      const { ledger, reopen } = books;
      const before = ledger.statement(NOON - 2 * DAY, NOON + DAY);
      const file = ledger.nextFile();
      expect(reopen().nextFile()).toEqual(file);
      if (file === undefined) throw new Error("no file");
      ledger.confirmFile(file);
      ledger.confirmFile(file);
      expect(ledger.nextFile()?.name).not.toBe(file.name);
      expect(ledger.statement(NOON - 2 * DAY, NOON + DAY)).toEqual(before);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("are not forgotten because of a file that the ledger did not hand out", () =>
    withBooks((books) => {
      const { ledger } = books;
      const recent = ledgerEvent();
      ledger.record([recent], PRICES);
      const made = { name: "x", day: "2026-11-24", first: 1, last: 1, events: 1 };
      for (const file of [made, { ...made, events: 2 }, { ...made, day: "2026-11-23" }]) {
        expect(() => ledger.confirmFile(file)).toThrow(
          expect.objectContaining({ code: "file_unknown" }),
        );
      }
      expect(ledger.record([recent], PRICES).duplicates).toBe(1);
    }));

  it("are not billed a second time when they come again", () =>
    withBooks((books) => {
      const events = oldEvents(books);
      const { ledger } = books;
      for (let file = ledger.nextFile(); file !== undefined; file = ledger.nextFile()) {
        ledger.confirmFile(file);
      }
      const again = ledger.record(events, PRICES);
      expect(again.recorded).toBe(0);
      expect(new Set(again.refused.map(({ reason }) => reason))).toEqual(new Set(["too_late"]));
      expect(ledger.standing().balance).toBe(-780);
    }));

  it("include none of a day that may still grow", () =>
    withBooks(({ ledger, clock }) => {
      const at = NOON - 35 * DAY;
      expect(horizonOf(clock.now)).toBe(at - 12 * HOUR);
      expect(ledger.record([ledgerEvent({ at })], PRICES).recorded).toBe(1);
      expect(ledger.nextFile()).toBeUndefined();
      clock.now += DAY;
      expect(ledger.record([ledgerEvent({ at })], PRICES).recorded).toBe(0);
      expect(ledger.nextFile()?.events).toBe(1);
    }));
});

describe("pruning", () => {
  it("forgets hours after thirteen months and keeps the days and the journal", () =>
    withBooks(({ ledger, clock, storage }) => {
      ledger.enter("credit", { id: "p", amount: 1_000, note: "" });
      ledger.grant({ isolate: "i", wanted: 500, minimum: 1, ttlSeconds: 60 });
      ledger.record([ledgerEvent({ billing: { lease: "lease-1", token: "t" } })], PRICES);
      const day = NOON - 12 * HOUR;
      const before = ledger.statement(day, day + DAY);
      clock.now = Date.UTC(2028, 0, 1) - 1;
      ledger.prune();
      expect(ledger.statement(NOON, NOON + HOUR).usage).toBe(130);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
      clock.now += 1;
      ledger.prune();
      ledger.prune();
      expect(() => ledger.statement(NOON, NOON + HOUR)).toThrow(/13 months/);
      expect(ledger.statement(day, day + DAY)).toEqual({
        ...before,
        isProvisional: false,
        recordedUpTo: "2028-01-01T00:00:00.000Z",
      });
      for (const table of ["hours", "month_units", "spent", "leases"]) {
        expect(storage.sql.exec(`SELECT * FROM ${table}`).toArray()).toEqual([]);
      }
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));
});
