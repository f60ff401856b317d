import { describe, expect, it } from "vitest";

import { AccountLeases, type HeldLease } from "../../../src/billing/lease/account-leases.ts";
import type { LeaseGrant } from "../../../src/billing/ledger/leases.ts";
import { NOON } from "../support.ts";

const GRANT: LeaseGrant = {
  ok: true,
  id: "a",
  credit: 1_000,
  ttlSeconds: 60,
  expiresAt: 0,
  isScarce: false,
};

const OVER = NOON + 60_000;

/** A lease with requests that have set 100 aside each. */
function running(requests: number) {
  const leases = new AccountLeases();
  leases.hold(GRANT, NOON);
  const taken = Array.from({ length: requests }, () => leases.take(100, NOON) as HeldLease);
  return { leases, taken };
}

describe("a lease that is over", () => {
  it("is settled at once where nothing is running, also when nothing is left of it", () => {
    const { leases, taken } = running(10);
    for (const lease of taken) leases.settle(lease, 100, 100);
    expect(leases.returnable(OVER, 0)).toEqual([{ id: "a", unspent: 0, isSettled: true }]);
  });

  it("is told of twice while requests run: what is free now, and what was left in the end", () => {
    const { leases, taken } = running(2);
    const first = leases.returnable(OVER, 0);
    expect(first).toEqual([{ id: "a", unspent: 800 }]);
    leases.settle(taken[0] as HeldLease, 100, 30);
    expect(leases.returnable(OVER, 0)).toEqual(first);
    leases.settle(taken[1] as HeldLease, 100, 0);
    const both = leases.returnable(OVER, 0);
    expect(both).toEqual([...first, { id: "a", unspent: 970, isSettled: true }]);
    // An answer to the first report says nothing of the second.
    leases.wereReturned(first);
    expect(leases.returnable(OVER, 0)).toEqual(both.slice(1));
    leases.wereReturned(both);
    expect(leases.returnable(OVER, 0)).toEqual([]);
  });

  it("never gives back less than nothing", () => {
    const { leases, taken } = running(10);
    for (const lease of taken) leases.settle(lease, 100, 150);
    expect(leases.returnable(OVER, 0)).toEqual([{ id: "a", unspent: 0, isSettled: true }]);
  });

  it("is not settled by a request that was lost", () => {
    const { leases, taken } = running(1);
    leases.wereReturned(leases.returnable(OVER, 0));
    leases.returnable(OVER + 15 * 60_000, 0);
    leases.settle(taken[0] as HeldLease, 100, 100);
    expect(leases.returnable(OVER + 16 * 60_000, 0)).toEqual([]);
  });
});
