import { describe, expect, it } from "vitest";

import { type AskLedger, LeaseHolder, type Payer } from "../../src/billing/lease.ts";
import type { LeaseAnswer, LeaseGrant, LeaseRequest } from "../../src/billing/ledger/leases.ts";
import { NOON } from "./support.ts";

const payer: Payer = { account: "acc_a", graceNano: 0 };

const granted = (more: Partial<LeaseGrant> = {}): LeaseGrant => ({
  ok: true,
  id: "l-1",
  credit: 1_000,
  ttlSeconds: 60,
  expiresAt: 0,
  isScarce: false,
  ...more,
});

/** A holder whose ledger answers when the test says so. */
function holderOf() {
  const clock = { now: NOON };
  const asked: { request: LeaseRequest; answer(answer: LeaseAnswer): void; fail(): void }[] = [];
  const timers: (() => void)[] = [];
  const background: Promise<unknown>[] = [];
  const warned: unknown[] = [];
  const ask: AskLedger = (_, request) =>
    new Promise((resolve, reject) => {
      asked.push({ request, answer: resolve, fail: () => reject(new Error("away")) });
    });
  const holder = new LeaseHolder(
    "i",
    ask,
    () => new Promise<void>((resolve) => timers.push(resolve)),
  );
  const context = {
    now: () => clock.now,
    waitUntil: (promise: Promise<unknown>) => void background.push(promise),
    log: { warn: (event: string, fields: object = {}) => void warned.push({ event, ...fields }) },
  };
  const admit = (estimate = 100, by: Payer = payer) => holder.admit(by, estimate, context);
  const decided = async (admission: ReturnType<typeof admit>) =>
    admission.kind === "pending" ? admission.decided : admission;
  /** Holds a lease, with one request admitted. */
  const first = async (grant: LeaseGrant = granted(), estimate = 100) => {
    const admission = admit(estimate);
    asked.at(-1)?.answer(grant);
    return decided(admission);
  };
  return { clock, asked, timers, background, warned, holder, admit, decided, first };
}

describe("LeaseHolder", () => {
  it("asks once for all that wait for the first lease, and then admits without asking", async () => {
    const { asked, admit, decided } = holderOf();
    const waiting = Array.from({ length: 5 }, () => admit());
    expect(new Set(waiting.map(({ kind }) => kind))).toEqual(new Set(["pending"]));
    expect(asked.map(({ request }) => request)).toEqual([
      { isolate: "i", wanted: 2_000, minimum: 100, ttlSeconds: 60 },
    ]);
    asked[0]?.answer(granted());
    for (const admission of waiting) {
      expect(await decided(admission)).toMatchObject({ kind: "admitted", lease: "l-1" });
    }
    expect(admit(400)).toMatchObject({ kind: "admitted", lease: "l-1" });
  });

  it("renews in the background once half is spent, with enough for half a minute", async () => {
    const { asked, admit, first, background, clock } = holderOf();
    await first(granted(), 400);
    clock.now += 10_000;
    expect(asked).toHaveLength(1);
    const admission = admit(100);
    expect(admission.kind).toBe("admitted");
    expect(asked).toHaveLength(2);
    asked[1]?.answer(granted({ id: "l-2" }));
    await Promise.all(background);
    expect(admit(500)).toMatchObject({ lease: "l-1" });
    expect(admit(500)).toMatchObject({ lease: "l-2" });
  });

  it("wants as much as the last lease's rate needs", async () => {
    const { asked, admit, first, holder, clock } = holderOf();
    const admission = await first(granted({ credit: 10_000 }), 5_000);
    if (admission.kind === "admitted") holder.spend(admission, 5_000);
    clock.now += 2_000;
    admit(1);
    expect(asked.at(-1)?.request.wanted).toBe((5_000 / 2) * 30);
  });

  it("renews when two thirds of its time are over, and stops at its end", async () => {
    const { asked, admit, first, clock } = holderOf();
    await first();
    clock.now += 39_999;
    admit(1);
    expect(asked).toHaveLength(1);
    clock.now += 1;
    expect(admit(1).kind).toBe("admitted");
    expect(asked).toHaveLength(2);
    clock.now += 20_000;
    expect(admit(1).kind).toBe("pending");
  });

  it("gives back what it won't spend, until somebody has heard it", async () => {
    const { asked, admit, first, holder, clock, decided } = holderOf();
    const admission = await first();
    if (admission.kind === "admitted") holder.spend(admission, 60);
    clock.now += 60_000;
    const lost = admit();
    asked[1]?.fail();
    expect(await decided(lost)).toMatchObject({ code: "ledger_unreachable" });
    clock.now += 1_000;
    const heard = admit();
    asked[2]?.answer(granted({ id: "l-2", credit: 150 }));
    await decided(heard);
    const third = admit();
    asked[3]?.answer(granted({ id: "l-3" }));
    await decided(third);
    const returned = [{ id: "l-1", unspent: 940, isSettled: true }];
    expect(asked.map(({ request }) => request.returned)).toEqual([
      undefined,
      returned,
      returned,
      [{ id: "l-2", unspent: 50 }],
    ]);
  });

  it("takes what is scarce only when it needs it", async () => {
    const { asked, admit, first } = holderOf();
    await first(granted({ isScarce: true }), 900);
    expect(admit(100).kind).toBe("admitted");
    expect(asked).toHaveLength(1);
  });

  it("believes a refusal for a second, for requests that cost as much or more", async () => {
    const { asked, admit, decided, clock } = holderOf();
    const admission = admit(100);
    asked[0]?.answer({
      ok: false,
      code: "limit_reached",
      limit: "day",
      available: 60,
      outstanding: 0,
      retryAfterSeconds: 90,
    });
    const refused = { kind: "refused", code: "limit_reached", limit: "day", retryAfterSeconds: 90 };
    expect(await decided(admission)).toEqual(refused);
    expect(admit(100)).toEqual(refused);
    expect(asked).toHaveLength(1);
    expect(admit(60).kind).toBe("pending");
    clock.now += 1_000;
    expect(admit(100).kind).toBe("pending");
  });

  it("keeps what each client token and each account has apart", async () => {
    const { asked, admit, first } = holderOf();
    await first();
    const token = { id: "t", limit: 500 };
    expect(admit(1, { ...payer, token }).kind).toBe("pending");
    expect(admit(1, { ...payer, account: "acc_b" }).kind).toBe("pending");
    expect(asked[1]?.request.token).toEqual(token);
  });

  it("settles what a request cost less, or more, than its estimate", async () => {
    const { admit, first, holder } = holderOf();
    const admission = await first(granted({ credit: 300 }));
    if (admission.kind === "admitted") holder.spend(admission, 0);
    expect(admit(300).kind).toBe("admitted");
    const other = holderOf();
    const dear = await other.first(granted({ credit: 300 }));
    if (dear.kind === "admitted") other.holder.spend(dear, 250);
    expect(other.admit(51).kind).toBe("pending");
  });
});

describe("a ledger that is out of reach", () => {
  const lenient: Payer = { ...payer, graceNano: 250 };

  it("costs no more than the plan's grace in an hour, and is asked once a second", async () => {
    const { asked, admit, decided, clock, holder } = holderOf();
    const admission = admit(100, lenient);
    asked[0]?.fail();
    expect(await decided(admission)).toMatchObject({ kind: "admitted", lease: "grace" });
    expect(admit(100, lenient)).toMatchObject({ kind: "admitted", lease: "grace" });
    expect(admit(100, lenient)).toMatchObject({ kind: "refused", code: "ledger_unreachable" });
    expect(asked).toHaveLength(1);
    clock.now += 3_599_999;
    const later = admit(100, lenient);
    asked[1]?.fail();
    expect(await decided(later)).toMatchObject({ kind: "refused" });
    clock.now += 1_000;
    const nextHour = admit(100, lenient);
    asked[2]?.fail();
    expect(await decided(nextHour)).toMatchObject({ kind: "admitted" });
    expect(holder.stats).toMatchObject({ asked: 3, failed: 3, onGrace: 3 });
  });

  it("is told of once until it is reached again, and each admission on grace with the sum", async () => {
    const { asked, admit, decided, clock, warned } = holderOf();
    const fail = async () => {
      const admission = admit(100, lenient);
      asked.at(-1)?.fail();
      await decided(admission);
      clock.now += 1_000;
    };
    const unreachable = { event: "ledger_unreachable", account: "acc_a", cause: "Error: away" };
    const onGrace = (usedNano: number) => ({
      event: "grace_admission",
      account: "acc_a",
      usedNano,
      graceNano: 250,
    });
    for (let time = 0; time < 3; time++) await fail();
    expect(warned).toEqual([unreachable, onGrace(100), onGrace(200)]);
    const reached = admit(100, lenient);
    asked.at(-1)?.answer(granted({ credit: 100 }));
    await decided(reached);
    await fail();
    expect(warned.slice(3)).toEqual([unreachable]);
  });

  it("does not keep a request waiting for more than its timer", async () => {
    const { admit, decided, timers, asked } = holderOf();
    const waiting = [admit(), admit()];
    for (const timer of timers) timer();
    for (const admission of waiting) {
      expect(await decided(admission)).toMatchObject({ code: "ledger_unreachable" });
    }
    expect(asked).toHaveLength(1);
  });

  it("is asked again by the next request when the one that asked was cancelled", async () => {
    const { admit, decided, asked, clock } = holderOf();
    admit();
    clock.now += 4_999;
    admit();
    expect(asked).toHaveLength(1);
    clock.now += 1;
    const admission = admit();
    expect(asked).toHaveLength(2);
    asked[1]?.answer(granted());
    expect(await decided(admission)).toMatchObject({ kind: "admitted" });
  });

  it("does not take away a lease that still has credit", async () => {
    const { admit, first, asked, background } = holderOf();
    await first(granted(), 500);
    expect(admit(1).kind).toBe("admitted");
    asked[1]?.fail();
    await Promise.all(background);
    expect(admit(400).kind).toBe("admitted");
    expect(asked).toHaveLength(2);
  });
});
