import { describe, expect, it } from "vitest";

import { type Delivery, MAX_ATTEMPTS, backOffMs } from "../../../../src/billing/outbox.ts";
import { HOUR, NOON, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { type Books, withBooks } from "./support.ts";

const LATER: Delivery = { kind: "later", error: "503" };

const outboxOf = <T>(work: (books: Books) => T) =>
  withBooks(
    (books) => {
      books.ledger.record([ledgerEvent({ id: "a" }), ledgerEvent({ id: "b" })], book(priceOf()));
      return work(books);
    },
    { exports: ["stripe"] },
  );

describe("the outbox", () => {
  it("hands each row to one sender at a time, and again when nobody said what became of it", () =>
    outboxOf(({ ledger: { outbox } }) => {
      expect(outbox.take("stripe", 1, NOON)).toMatchObject([{ event: { id: "a" } }]);
      expect(outbox.take("stripe", 9, NOON)).toMatchObject([{ event: { id: "b" } }]);
      expect(outbox.take("stripe", 9, NOON + 59_999)).toEqual([]);
      expect(outbox.take("stripe", 9, NOON + 60_000)).toHaveLength(2);
      expect(outbox.take("elsewhere", 9, NOON + 60_000)).toEqual([]);
    }));

  it("forgets what was delivered, and says when the next is due", () =>
    outboxOf(({ ledger: { outbox } }) => {
      expect(outbox.nextAt()).toBe(NOON);
      for (const { seq } of outbox.take("stripe", 9, NOON)) {
        outbox.settle(seq, { kind: "delivered" }, NOON);
        outbox.settle(seq, LATER, NOON);
      }
      expect(outbox.nextAt()).toBeUndefined();
      expect(outbox.take("stripe", 9, NOON + HOUR)).toEqual([]);
    }));

  it("waits longer after each failure, and as long as it is asked to", () =>
    outboxOf(({ ledger: { outbox } }) => {
      const [a, b] = outbox.take("stripe", 2, NOON);
      outbox.settle(a?.seq ?? 0, LATER, NOON);
      outbox.settle(b?.seq ?? 0, { ...LATER, retryAfterSeconds: 30 }, NOON);
      expect(outbox.nextAt()).toBe(NOON + 1_000);
      const [again] = outbox.take("stripe", 9, NOON + 1_000);
      expect(again).toMatchObject({ attempts: 1, event: { id: "a" } });
      outbox.settle(again?.seq ?? 0, LATER, NOON + 1_000);
      expect(outbox.nextAt()).toBe(NOON + 3_000);
      expect(outbox.take("stripe", 9, NOON + 29_999)).toHaveLength(1);
      expect(outbox.take("stripe", 9, NOON + 30_000)).toMatchObject([{ event: { id: "b" } }]);
    }));

  it("puts aside what fails for good, keeps why, and sends it again when it is told to", () =>
    outboxOf(({ ledger: { outbox } }) => {
      const [a] = outbox.take("stripe", 1, NOON);
      outbox.settle(a?.seq ?? 0, { kind: "never", error: "no such customer" }, NOON);
      expect(outbox.dead(9)).toMatchObject([
        { target: "stripe", event: { id: "a" }, error: "no such customer" },
      ]);
      expect(outbox.take("stripe", 9, NOON + HOUR)).toMatchObject([{ event: { id: "b" } }]);
      expect(outbox.replay("elsewhere", NOON)).toBe(0);
      expect(outbox.replay("stripe", NOON + HOUR)).toBe(1);
      expect(outbox.take("stripe", 9, NOON + HOUR)).toMatchObject([
        { event: { id: "a" }, attempts: 0 },
      ]);
      expect(outbox.dead(9)).toEqual([]);
    }));

  it("gives up before Stripe forgets the identifier of the first try", () =>
    outboxOf(({ ledger: { outbox } }) => {
      const [a] = outbox.take("stripe", 1, NOON);
      outbox.settle(outbox.take("stripe", 1, NOON)[0]?.seq ?? 0, { kind: "delivered" }, NOON);
      let now = NOON;
      let attempts = 0;
      while (outbox.dead(1).length === 0) {
        outbox.settle(a?.seq ?? 0, LATER, now);
        attempts++;
        now = outbox.nextAt() ?? now;
      }
      expect(attempts).toBe(MAX_ATTEMPTS);
      expect(now - NOON).toBeGreaterThan(12 * HOUR);
      expect(now - NOON).toBeLessThan(24 * HOUR);
      expect(backOffMs(MAX_ATTEMPTS)).toBe(HOUR);
    }));
});
