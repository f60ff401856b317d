import { describe, expect, it } from "vitest";

import { LEASE_GRACE_SECONDS } from "../../../../src/billing/ledger/lease-holds.ts";
import { CAP_MARGIN, type LeaseRequest } from "../../../../src/billing/ledger/leases.ts";
import { DAY, HOUR, NOON, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { type Books, withBooks } from "./support.ts";

const PRICES = book(priceOf());

const request = (more: Partial<LeaseRequest> = {}): LeaseRequest => ({
  isolate: "i",
  wanted: 1_000,
  minimum: 130,
  ttlSeconds: 60,
  ...more,
});

const pay = ({ ledger }: Books, amount: number, id = "p") =>
  ledger.enter("credit", { id, amount, note: "" });

describe("a lease", () => {
  it("is what was wanted while there is plenty", () =>
    withBooks((books) => {
      pay(books, 100_000);
      expect(books.ledger.grant(request())).toEqual({
        ok: true,
        id: "lease-1",
        credit: 1_000,
        ttlSeconds: 60,
        expiresAt: NOON + 60_000,
        isScarce: false,
      });
    }));

  it("is an eighth where it is scarce and at least one request, until there is none", () =>
    withBooks((books) => {
      pay(books, 2_000);
      const answers = Array.from({ length: 20 }, () => books.ledger.grant(request()));
      const granted = answers.filter(({ ok }) => ok);
      expect(granted.slice(0, 4)).toMatchObject(
        [250, 218, 191, 167].map((credit) => ({ credit, isScarce: true, ttlSeconds: 15 })),
      );
      expect(granted.at(-1)).toMatchObject({ credit: 130 });
      expect(answers.at(-1)).toEqual({
        ok: false,
        code: "payment_required",
        available: 118,
        outstanding: 1_882,
        retryAfterSeconds: 15 + LEASE_GRACE_SECONDS,
      });
    }));

  it("is drawn down by its events, which may come late", () =>
    withBooks((books) => {
      const { ledger, clock } = books;
      pay(books, 100_000);
      ledger.grant(request());
      const event = ledgerEvent({ billing: { lease: "lease-1" } });
      ledger.record([event], PRICES);
      ledger.record([event], PRICES);
      expect(ledger.standing()).toMatchObject({ balance: 99_870, outstanding: 870 });
      clock.now += (60 + LEASE_GRACE_SECONDS) * 1_000 - 1;
      expect(ledger.standing()).toMatchObject({ outstanding: 870 });
      clock.now += 1;
      expect(ledger.standing()).toMatchObject({ outstanding: 0 });
      ledger.record([ledgerEvent({ billing: { lease: "lease-1" } })], PRICES);
      expect(ledger.standing()).toMatchObject({ balance: 99_740, outstanding: 740 });
      expect(ledger.verify().ok).toBe(true);
    }));

  it("that was never told of is held back while events of the account come late", () =>
    withBooks((books) => {
      const { ledger, clock } = books;
      pay(books, 100_000);
      ledger.grant(request());
      ledger.grant(request({ isolate: "j" }));
      clock.now += (60 + LEASE_GRACE_SECONDS) * 1_000;
      expect(ledger.standing().outstanding).toBe(0);
      ledger.record([ledgerEvent({ billing: { lease: "lease-1" } })], PRICES);
      expect(ledger.standing().outstanding).toBe(1_870);
      clock.now += 9 * 60_000;
      ledger.record([ledgerEvent({ billing: { lease: "lease-2" } })], PRICES);
      clock.now += 9 * 60_000;
      expect(ledger.standing().outstanding).toBe(1_740);
      clock.now += 60_000;
      expect(ledger.standing().outstanding).toBe(0);
    }));

  it("that is settled is held back as far as it was spent, until its events come or a day is over", () =>
    withBooks((books) => {
      const { ledger, clock } = books;
      pay(books, 100_000);
      ledger.grant(request());
      ledger.returnLease("lease-1", 400);
      ledger.returnLease("lease-1", 500);
      expect(ledger.standing().outstanding).toBe(600);
      // What the last requests did not need of their estimates.
      ledger.grant(request({ returned: [{ id: "lease-1", unspent: 740, isSettled: true }] }));
      ledger.returnLease("lease-2", 1_000, true);
      ledger.returnLease("lease-1", 1_000, true);
      expect(ledger.standing().outstanding).toBe(260);
      clock.now += 20 * HOUR;
      expect(ledger.standing().outstanding).toBe(260);
      expect(ledger.grant(request({ minimum: 99_900 }))).toMatchObject({
        code: "payment_required",
        outstanding: 260,
      });
      const late = ledgerEvent({ at: clock.now, billing: { lease: "lease-1" } });
      ledger.record([late], PRICES);
      expect(ledger.standing()).toMatchObject({ balance: 99_870, outstanding: 130 });
      clock.now += 5 * HOUR;
      expect(ledger.standing().outstanding).toBe(0);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("comes back at once as far as its isolate has not spent it", () =>
    withBooks((books) => {
      const { ledger } = books;
      pay(books, 100_000);
      ledger.grant(request());
      ledger.grant(request({ returned: [{ id: "lease-1", unspent: 740 }] }));
      expect(ledger.standing().outstanding).toBe(1_260);
      // Reporting it again, or another's lease that is no lease, changes nothing.
      ledger.returnLease("lease-1", 1_000);
      ledger.returnLease("nobody's", 1_000);
      expect(ledger.standing().outstanding).toBe(1_260);
      const billing = { lease: "lease-1" };
      ledger.record([ledgerEvent({ billing }), ledgerEvent({ billing })], PRICES);
      expect(ledger.standing().outstanding).toBe(1_000);
    }));

  it("can't give back more than it has, nor less than nothing", () =>
    withBooks((books) => {
      const { ledger } = books;
      pay(books, 100_000);
      ledger.grant(request());
      ledger.returnLease("lease-1", -5);
      expect(ledger.standing().outstanding).toBe(1_000);
      ledger.record([ledgerEvent({ billing: { lease: "lease-1" } })], PRICES);
      ledger.returnLease("lease-1", 5_000);
      expect(ledger.standing().outstanding).toBe(0);
      ledger.grant(request({ isolate: "j" }));
      expect(ledger.standing().outstanding).toBe(1_000);
    }));
});

describe("free units", () => {
  const free = priceOf({ perRequest: 0, free: { tokens: 100 } });

  it("are as good as credit, as long as there are some this month", () =>
    withBooks((books) => {
      const { ledger, clock } = books;
      const ask = () => ledger.grant(request({ minimum: 30, wanted: 30 }), [free]);
      expect(ledger.grant(request({ minimum: 30 }))).toMatchObject({ code: "payment_required" });
      for (let asked = 0; asked < 10; asked++) {
        const lease = ask();
        if (!lease.ok) throw new Error(lease.code);
        ledger.record([ledgerEvent({ price: free, billing: { lease: lease.id } })], book(free));
      }
      expect(ledger.standing()).toMatchObject({ balance: 0, outstanding: 0 });
      expect(ask()).toMatchObject({ code: "payment_required", available: 0 });
      clock.now += 7 * DAY;
      expect(ask()).toMatchObject({ ok: true });
    }));

  it("of prices that are over or to come count for nothing, nor do those that were used elsewhere", () =>
    withBooks((books) => {
      const { ledger } = books;
      const from = (time: string) => ({ ...free, from: time });
      const over = [from("2026-01-01T00:00:00Z"), { ...from("2026-02-01T00:00:00Z"), free: {} }];
      const asked = request({ minimum: 30 });
      expect(ledger.grant(asked, over)).toMatchObject({ code: "payment_required" });
      const toCome = [from("2027-01-01T00:00:00Z")];
      expect(ledger.grant(asked, toCome)).toMatchObject({ code: "payment_required" });
      ledger.record([ledgerEvent(), ledgerEvent(), ledgerEvent()], PRICES);
      expect(ledger.grant(asked, [{ ...free, model: "n" }])).toMatchObject({
        code: "payment_required",
      });
    }));
});

describe("a lease is refused", () => {
  it("while the books are nearly full: what is out must still be booked", () =>
    withBooks((books) => {
      pay(books, Number.MAX_SAFE_INTEGER - CAP_MARGIN);
      expect(books.ledger.grant(request())).toMatchObject({ ok: true });
      pay(books, 1, "q");
      expect(books.ledger.grant(request())).toMatchObject({ ok: false, code: "limit_reached" });
    }));

  it("while nothing was paid, and granted as soon as something is", () =>
    withBooks((books) => {
      expect(books.ledger.grant(request())).toEqual({
        ok: false,
        code: "payment_required",
        available: 0,
        outstanding: 0,
      });
      pay(books, 130);
      expect(books.ledger.grant(request())).toMatchObject({ ok: true, credit: 130 });
    }));

  it("to an account that is suspended", () =>
    withBooks(
      (books) => {
        pay(books, 10_000);
        expect(books.ledger.grant(request())).toMatchObject({ code: "account_suspended" });
      },
      { suspended: true },
    ));

  it.each(["prepaid", "postpaid"] as const)(
    "above the limit of a day, %s, until midnight",
    (funding) =>
      withBooks(
        (books) => {
          const { ledger, clock } = books;
          pay(books, 100_000);
          ledger.record([ledgerEvent(), ledgerEvent({ at: NOON - DAY })], PRICES);
          expect(ledger.grant(request({ minimum: 270 }))).toMatchObject({ ok: true, credit: 270 });
          expect(ledger.grant(request())).toMatchObject({
            code: "limit_reached",
            limit: "day",
            available: 0,
            outstanding: 270,
            retryAfterSeconds: 15 + LEASE_GRACE_SECONDS,
          });
          ledger.record([ledgerEvent(), ledgerEvent()], PRICES);
          clock.now += HOUR;
          expect(ledger.grant(request())).toMatchObject({
            limit: "day",
            available: 10,
            retryAfterSeconds: 11 * 3_600,
          });
          clock.now += 11 * HOUR;
          expect(ledger.grant(request())).toMatchObject({ ok: true });
        },
        { funding, limits: { day: 400 } },
      ),
  );

  it("above the limit of a month, and of a client token, whose others go on", () =>
    withBooks(
      (books) => {
        const { ledger } = books;
        const token = { id: "t", limit: 200 };
        ledger.record([ledgerEvent({ billing: { token: "t" } })], PRICES);
        expect(ledger.grant(request({ token }))).toMatchObject({
          code: "limit_reached",
          limit: "token",
          available: 70,
        });
        expect(ledger.grant(request({ token, minimum: 60 }))).toMatchObject({ credit: 60 });
        expect(ledger.grant(request({ token, minimum: 60 }))).toMatchObject({ available: 10 });
        expect(ledger.grant(request({ token: { id: "u", limit: 200 } }))).toMatchObject({
          ok: true,
          credit: 130,
        });
        expect(ledger.grant(request({ minimum: 900 }))).toMatchObject({ limit: "month" });
      },
      { funding: "postpaid", limits: { month: 1_000 } },
    ));
});
