import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { RetryBudget } from "../../src/origin/budget.ts";

const spendAll = (budget: RetryBudget, now: number): number => {
  let spent = 0;
  while (budget.trySpend(now)) spent++;
  return spent;
};

describe("RetryBudget", () => {
  it("lets an isolate that has just started learn which endpoints are broken", () => {
    expect(new RetryBudget(0.1, 0).retriesAllowed(0)).toBe(13);
  });

  it("gives one retry for ten requests", () => {
    const budget = new RetryBudget(0.1, 0);
    spendAll(budget, 0);
    for (let request = 0; request < 10; request++) budget.earn(0);
    expect(spendAll(budget, 0)).toBe(1);
  });

  it("gives three retries in ten seconds to those who earn nothing", () => {
    const budget = new RetryBudget(0.1, 0);
    spendAll(budget, 0);
    expect(spendAll(budget, 3_000)).toBe(0);
    expect(spendAll(budget, 4_000)).toBe(1);
    expect(spendAll(budget, 1_000_000)).toBe(3);
  });

  it("gives no retry at all when the pool wants none", () => {
    const budget = new RetryBudget(0, 0);
    for (let now = 0; now < 100_000; now += 100) budget.earn(now);
    expect(budget.retriesAllowed(100_000)).toBe(0);
    expect(budget.trySpend(100_000)).toBe(false);
  });

  it("keeps no more than a hundred for later", () => {
    const budget = new RetryBudget(0.1, 0);
    for (let request = 0; request < 100_000; request++) budget.earn(request);
    expect(spendAll(budget, 100_000)).toBe(100);
  });

  it("adds a tenth to a busy pool in which everything fails, and no more", () => {
    const budget = new RetryBudget(0.1, 0);
    let retries = 0;
    const requests = 60_000;
    for (let request = 0; request < requests; request++) {
      budget.earn(request);
      while (budget.trySpend(request)) retries++;
    }
    expect(retries).toBeLessThanOrEqual(requests * 0.1 + 13);
    expect(retries).toBeGreaterThanOrEqual(requests * 0.1);
  });

  it("never spends more in any window than its share of the requests and the floor", () => {
    const step = fc.record({ dt: fc.nat(3_000), requests: fc.nat(30), wanted: fc.nat(12) });
    const ratio = fc.constantFrom(0.02, 0.1, 0.5, 1);
    fc.assert(
      fc.property(ratio, fc.array(step, { maxLength: 40 }), (part, steps) => {
        const budget = new RetryBudget(part, 0);
        let now = 0;
        const seen = steps.map(({ dt, requests, wanted }) => {
          now += dt;
          const allowed = budget.retriesAllowed(now);
          let spent = 0;
          for (let i = 0; i < requests; i++) budget.earn(now);
          for (let i = 0; i < wanted; i++) if (budget.trySpend(now)) spent++;
          return { now, allowed, requests, spent };
        });
        for (const [at, first] of seen.entries()) {
          let [requests, spent] = [0, 0];
          for (const last of seen.slice(at)) {
            requests += last.requests;
            spent += last.spent;
            const floor = ((last.now - first.now) * 3) / 10_000;
            // What was kept for later is whole tokens, and less than one.
            expect(spent).toBeLessThan(first.allowed + 1 + part * requests + floor + 1e-6);
          }
        }
      }),
    );
  });
});
