import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  type Admitted,
  LeaseHolder,
  type Payer,
  type Refused,
} from "../../../../src/billing/lease.ts";
import type { LedgerEvent } from "../../../../src/billing/ledger/event.ts";
import { LEASE_GRACE_SECONDS } from "../../../../src/billing/ledger/lease-holds.ts";
import { amountOf } from "../../../../src/billing/price.ts";
import { book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { type Books, withBooks } from "./support.ts";

const PRICE = priceOf();
const PRICES = book(PRICE);
const ISOLATES = 20;
const COST = amountOf(PRICE, { tokens: 10 });

/** Twenty isolates and one ledger, in a time of their own. */
function world({ ledger, clock }: Books, graceNano = 0) {
  const state = { isDown: false, served: 0, excess: 0, paidOnGrace: 0, late: 0 };
  const onGrace = new Map<LeaseHolder, number>();
  const releasedAt = new Map<string, number>();
  const payer: Payer = { account: "acc_a", graceNano };
  const holders = Array.from(
    { length: ISOLATES },
    (_, index) =>
      new LeaseHolder(
        `isolate-${index}`,
        async (_account, request) => {
          if (state.isDown) throw new Error("away");
          const answer = ledger.grant(request);
          if (answer.ok) releasedAt.set(answer.id, answer.expiresAt + LEASE_GRACE_SECONDS * 1_000);
          return answer;
        },
        () => new Promise(() => {}),
      ),
  );
  const background: Promise<unknown>[] = [];
  const context = {
    now: () => clock.now,
    waitUntil: (promise: Promise<unknown>) => void background.push(promise),
  };
  let queue: { due: number; event: LedgerEvent }[] = [];
  const deliver = (): void => {
    if (state.isDown) return;
    const due = queue.filter((message) => message.due <= clock.now);
    queue = queue.filter((message) => message.due > clock.now);
    for (const { event } of due) {
      const { lease, amount } = event.billing;
      if (clock.now >= (releasedAt.get(lease) ?? Number.POSITIVE_INFINITY)) state.late += amount;
    }
    if (due.length > 0)
      ledger.record(
        due.map(({ event }) => event),
        PRICES,
      );
  };
  /** One request: it needs `tokens`, and `more` turn out when it is answered. */
  const ask = async (isolate: number, tokens = 10, more = 0, delays: readonly number[] = [0]) => {
    const holder = holders[isolate % ISOLATES];
    if (holder === undefined) throw new Error("no isolate");
    const admission = holder.admit(payer, amountOf(PRICE, { tokens }), context);
    const decided: Admitted | Refused =
      admission.kind === "pending" ? await admission.decided : admission;
    if (decided.kind === "refused") return decided;
    const event = ledgerEvent({
      at: clock.now,
      units: { tokens: tokens + more },
      price: PRICE,
      billing: { lease: decided.lease },
    });
    const { amount } = event.billing;
    holder.spend(decided, amount);
    state.served++;
    if (decided.held === undefined) {
      state.paidOnGrace += amount;
      onGrace.set(holder, (onGrace.get(holder) ?? 0) + decided.estimate);
    } else {
      state.excess += amount - decided.estimate;
    }
    for (const delay of delays) queue.push({ due: clock.now + delay, event });
    return decided;
  };
  const pass = (milliseconds: number): void => {
    const end = clock.now + milliseconds;
    const dues = queue.map(({ due }) => due).filter((due) => due > clock.now && due < end);
    for (const due of dues.toSorted((a, b) => a - b)) {
      clock.now = due;
      deliver();
    }
    clock.now = end;
    deliver();
  };
  return { state, holders, onGrace, ask, pass, settled: () => Promise.all(background) };
}

/** Often less than is asked for. */
const payment = fc.oneof(fc.nat(4_000), fc.nat(60_000));

const delay = fc.integer({ min: 0, max: LEASE_GRACE_SECONDS * 1_000 - 1 });

/** Queues may take their time: the last are recorded when their leases are long gone. */
const longDelay = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 600_000 }));

const action = fc.record({
  isolate: fc.nat(ISOLATES - 1),
  burst: fc.integer({ min: 1, max: 6 }),
  tokens: fc.nat(60),
  more: fc.constantFrom(0, 0, 0, 25),
  passed: fc.oneof(fc.nat(500), fc.nat(20_000)),
  delays: fc.array(delay, { minLength: 1, maxLength: 2 }),
  longDelay,
  isDown: fc.boolean(),
});

describe("twenty isolates and a prepaid account", () => {
  it("never spend more than was paid, and leave less than one request of it", () =>
    fc.assert(
      fc.asyncProperty(
        payment,
        fc.array(action, { minLength: 20, maxLength: 60 }),
        (paid, actions) =>
          withBooks(async (books) => {
            const { ledger } = books;
            if (paid > 0) ledger.enter("credit", { id: "p", amount: paid, note: "" });
            const { ask, pass, state, settled } = world(books);
            for (const { isolate, burst, tokens, delays, passed } of actions) {
              await Promise.all(
                Array.from({ length: burst }, () => ask(isolate, tokens, 0, delays)),
              );
              pass(passed);
              expect(ledger.standing().balance).toBeGreaterThanOrEqual(0);
            }
            await settled();
            // Whatever isolates took and did not spend comes back, so nobody starves.
            pass(2 * 60_000 + LEASE_GRACE_SECONDS * 1_000);
            expect(ledger.standing().outstanding).toBe(0);
            pass(0);
            while ((await ask(0)).kind === "admitted") pass(2_000);
            expect(ledger.standing().balance).toBeLessThan(COST);
            expect(ledger.standing().balance).toBeGreaterThanOrEqual(0);
            expect(state.excess).toBe(0);
            expect(ledger.verify()).toEqual({ ok: true, problems: [] });
          }),
      ),
      { numRuns: 20 },
    ));

  it("overspend by no more than what comes too late, costs more than estimated, or is on grace", () =>
    fc.assert(
      fc.asyncProperty(
        payment,
        fc.constantFrom(0, 500),
        fc.array(action, { minLength: 20, maxLength: 60 }),
        (paid, graceNano, actions) =>
          withBooks(async (books) => {
            const { ledger } = books;
            if (paid > 0) ledger.enter("credit", { id: "p", amount: paid, note: "" });
            const { ask, pass, state, onGrace } = world(books, graceNano);
            for (const {
              isolate,
              burst,
              tokens,
              more,
              passed,
              longDelay: delayed,
              isDown,
            } of actions) {
              state.isDown = isDown;
              await Promise.all(
                Array.from({ length: burst }, () => ask(isolate, tokens, more, [delayed])),
              );
              pass(passed);
            }
            state.isDown = false;
            pass(600_000);
            const { balance } = ledger.standing();
            expect(balance).toBeGreaterThanOrEqual(
              -(state.late + state.excess + state.paidOnGrace),
            );
            expect(Math.max(0, ...onGrace.values())).toBeLessThanOrEqual(graceNano);
            expect(ledger.verify()).toEqual({ ok: true, problems: [] });
          }),
      ),
      { numRuns: 20 },
    ));

  it("serve exactly 1,000 requests on credit for 1,000, then refuse, then go on when more is paid", () =>
    withBooks(async (books) => {
      const { ledger } = books;
      ledger.enter("credit", { id: "p", amount: 1_000 * COST, note: "" });
      const { ask, pass, state, holders } = world(books);
      const round = () =>
        Promise.all(Array.from({ length: ISOLATES }, (_, isolate) => ask(isolate, 10, 0, [3_000])));
      const untilAllAreRefused = async () => {
        for (;;) {
          const answers = await round();
          if (answers.every(({ kind }) => kind === "refused")) return answers;
          pass(200);
        }
      };
      const answers = await untilAllAreRefused();
      expect(state.served).toBe(1_000);
      expect(new Set(answers.map((answer) => "code" in answer && answer.code))).toEqual(
        new Set(["payment_required"]),
      );
      const asked = holders.reduce((sum, { stats }) => sum + stats.asked, 0);
      expect(asked).toBeLessThan(500);
      ledger.enter("credit", { id: "more", amount: 20 * COST, note: "" });
      pass(5_000);
      expect(ledger.standing()).toMatchObject({ balance: 20 * COST, outstanding: 0 });
      await untilAllAreRefused();
      expect(state.served).toBe(1_020);
      pass(5_000);
      expect(ledger.standing()).toMatchObject({ balance: 0, outstanding: 0 });
    }));

  it("spend no more than was paid while the queue stands still for hours, as long as they live", () =>
    withBooks(async (books) => {
      const { ledger } = books;
      ledger.enter("credit", { id: "p", amount: 100 * COST, note: "" });
      const { ask, pass, state } = world(books);
      for (let round = 0; round < 120; round++) {
        for (let isolate = 0; isolate < 4; isolate++) await ask(isolate, 10, 0, [3 * 3_600_000]);
        pass(10_000);
      }
      expect(state.served).toBe(100);
      pass(4 * 3_600_000);
      expect(ledger.standing().balance).toBe(0);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("refuse everything while the ledger is out of reach and the plan has no grace", () =>
    withBooks(async (books) => {
      books.ledger.enter("credit", { id: "p", amount: 1_000_000, note: "" });
      const { ask, pass, state } = world(books);
      state.isDown = true;
      for (let turn = 0; turn < 100; turn++) {
        expect(await ask(turn)).toMatchObject({ kind: "refused", code: "ledger_unreachable" });
        pass(100);
      }
      state.isDown = false;
      pass(1_000);
      expect(await ask(0)).toMatchObject({ kind: "admitted" });
    }));
});
