import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  eValue,
  proportionEvidence,
  ratioEvidence,
  type SplitStep,
  upperShare,
} from "../../src/rollout/evidence.ts";

/** The alternatives, in times of the limit. */
const TIMES = [1.5, 2, 3, 5, 8, 16, 32, 64];

const mean = (numbers: readonly number[]) =>
  numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Chances of 0 to `length` bad ones. */
function binomial(length: number, chance: number): number[] {
  let chances = [1];
  for (let at = 0; at < length; at++) {
    chances = [...chances, 0].map(
      (here, bad) => here * (1 - chance) + (chances[bad - 1] ?? 0) * chance,
    );
  }
  return chances;
}

/** The exact chance that evidence, looked at after each of `length` observations, ever reaches 1/alpha. */
function everReaches(
  alpha: number,
  length: number,
  chance: number,
  logOf: (bad: number, total: number) => number,
): number {
  let alive = new Map([[0, 1]]);
  let reached = 0;
  for (let total = 1; total <= length; total++) {
    const next = new Map<number, number>();
    for (const [bad, weight] of alive) {
      next.set(bad, (next.get(bad) ?? 0) + weight * (1 - chance));
      next.set(bad + 1, (next.get(bad + 1) ?? 0) + weight * chance);
    }
    for (const [bad, weight] of next) {
      if (logOf(bad, total) < -Math.log(alpha)) continue;
      reached += weight;
      next.delete(bad);
    }
    alive = next;
  }
  return reached;
}

describe("evidence that a share is above its limit", () => {
  it("is none before anything was seen, and none where everything is allowed", () => {
    expect(proportionEvidence(0, 0, 0.02)).toBe(0);
    expect(proportionEvidence(50, 50, 1)).toBe(0);
  });

  it("is as large as JSON can say at the first bad one where none is allowed", () => {
    expect(proportionEvidence(0, 100, 0)).toBe(0);
    expect(eValue(proportionEvidence(1, 100, 0))).toBe(1e12);
  });

  it("is the mean of the bets on each alternative, played one observation at a time", () => {
    const observations = [false, true, false, false, true, true, false, true];
    const allowed = 0.1;
    const wealth = TIMES.map((times) => {
      const odds = (times * allowed) / (1 - allowed);
      const alternative = odds / (1 + odds);
      return observations.reduce(
        (money, isBad) =>
          money * (isBad ? alternative / allowed : (1 - alternative) / (1 - allowed)),
        1,
      );
    });
    expect(Math.exp(proportionEvidence(4, 8, allowed))).toBeCloseTo(mean(wealth), 10);
  });

  it.each(
    [0.001, 0.02, 0.2, 0.6].flatMap((allowed) =>
      [1, 7, 60].flatMap((total) =>
        [allowed, allowed / 2].map((real) => ({ allowed, total, real })),
      ),
    ),
  )(
    "has a mean of at most 1 over all outcomes of $total when $real is real and $allowed allowed",
    ({ allowed, total, real }) => {
      const average = binomial(total, real).reduce(
        (sum, chance, bad) => sum + chance * Math.exp(proportionEvidence(bad, total, allowed)),
        0,
      );
      expect(average).toBeLessThanOrEqual(1 + 1e-9);
      expect(average > 1 - 1e-6).toBe(real === allowed);
    },
  );

  it.each(
    [0.005, 0.02, 0.1, 0.3, 0.6].flatMap((allowed) =>
      [0.05, 0.01].map((alpha) => ({ allowed, alpha })),
    ),
  )(
    "ever reaches 1/$alpha in 300 looks with a chance below $alpha, at the limit $allowed",
    ({ allowed, alpha }) => {
      const chance = everReaches(alpha, 300, allowed, (bad, total) =>
        proportionEvidence(bad, total, allowed),
      );
      expect(chance).toBeGreaterThan(0);
      expect(chance).toBeLessThanOrEqual(alpha);
    },
  );

  it("has a mean of at most 1, too, where whole requests of ten equal items are good or bad", () => {
    // each item of its own would make this 10 times as many observations as there are
    const average = binomial(20, 0.05).reduce(
      (sum, chance, bad) => sum + chance * Math.exp(proportionEvidence(bad, 20, 0.05)),
      0,
    );
    const byItem = binomial(20, 0.05).reduce(
      (sum, chance, bad) => sum + chance * Math.exp(proportionEvidence(bad * 10, 200, 0.05)),
      0,
    );
    expect(average).toBeCloseTo(1, 6);
    expect(byItem).toBeGreaterThan(1_000);
  });

  it("has a mean of at most 1 for parts of requests, whatever their distribution", () => {
    const parts = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(20)), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(parts, (weighed) => {
        const total = weighed.reduce((sum, [, weight]) => sum + weight, 0);
        fc.pre(total > 0);
        const share = weighed.reduce((sum, [part, weight]) => sum + (part * weight) / total, 0);
        fc.pre(share > 1e-6 && share < 1 - 1e-6);
        const average = weighed.reduce(
          (sum, [part, weight]) =>
            sum + (weight / total) * Math.exp(proportionEvidence(part, 1, share)),
          0,
        );
        expect(average).toBeLessThanOrEqual(1 + 1e-9);
      }),
    );
  });

  it("grows with bad ones, shrinks with good ones and with what is allowed", () => {
    const share = fc.double({ min: 0.0001, max: 0.9, noNaN: true });
    fc.assert(
      fc.property(fc.nat(50), fc.nat(500), share, share, (bad, good, a, b) => {
        const evidence = (one: number, other: number, allowed: number) =>
          proportionEvidence(one, one + other, allowed);
        expect(evidence(bad + 1, good, a)).toBeGreaterThan(evidence(bad, good, a));
        expect(evidence(bad, good + 1, a)).toBeLessThan(evidence(bad, good, a));
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        // below the limit all of it is noise, and a bet on far alternatives loses less at a low limit
        fc.pre(bad > (bad + good) * high);
        expect(evidence(bad, good, high)).toBeLessThanOrEqual(evidence(bad, good, low) + 1e-9);
      }),
    );
  });
});

describe("evidence that a rate is above another's", () => {
  const steps: SplitStep[] = [
    { badBaseline: 90, badCandidate: 4, share: 0.01 },
    { badBaseline: 12, badCandidate: 5, share: 0.25 },
  ];

  it("is none without bad events, and none where there is nobody to compare with", () => {
    expect(ratioEvidence([], 1.5)).toBe(0);
    expect(ratioEvidence([{ badBaseline: 0, badCandidate: 0, share: 0.5 }], 1.5)).toBe(0);
    expect(ratioEvidence([{ badBaseline: 0, badCandidate: 50, share: 1 }], 1.5)).toBe(0);
  });

  it("is the mean over alternative ratios of the bets on each bad event", () => {
    const tolerated = 1.5;
    const chance = (share: number, ratio: number) => (share * ratio) / (share * ratio + 1 - share);
    const wealth = TIMES.map((times) =>
      steps.reduce((money, { badBaseline, badCandidate, share }) => {
        const usual = chance(share, tolerated);
        const bet = chance(share, tolerated * times);
        return money * (bet / usual) ** badCandidate * ((1 - bet) / (1 - usual)) ** badBaseline;
      }, 1),
    );
    expect(Math.exp(ratioEvidence(steps, tolerated))).toBeCloseTo(mean(wealth), 10);
  });

  it.each([0.01, 0.05, 0.25, 0.5].map((share) => ({ share })))(
    "ever reaches 1/0.05 in 300 bad events with a chance below 0.05, at a share of $share",
    ({ share }) => {
      const chance = everReaches(
        0.05,
        300,
        (share * 1.5) / (share * 1.5 + 1 - share),
        (bad, total) =>
          ratioEvidence([{ badBaseline: total - bad, badCandidate: bad, share }], 1.5),
      );
      expect(chance).toBeGreaterThan(0);
      expect(chance).toBeLessThanOrEqual(0.05);
    },
  );

  it.each([
    { share: 0.05, rate: 0.02, ratio: 1 },
    { share: 0.05, rate: 0.2, ratio: 1.5 },
    { share: 0.25, rate: 0.3, ratio: 1 },
    { share: 0.5, rate: 0.1, ratio: 1 },
    { share: 0.5, rate: 0.3, ratio: 1.5 },
  ])(
    "keeps both bounds with the share that was observed: $share planned, $rate failing, $ratio tolerated",
    ({ share, rate, ratio }) => {
      const { chance, largestMean } = observedShare(share, rate, ratio, 24, 0.05);
      expect(largestMean).toBeLessThanOrEqual(1 + 1e-9);
      expect(chance).toBeGreaterThan(0);
      expect(chance).toBeLessThanOrEqual(0.05);
    },
  );

  it("does not depend on how equal shares are cut into steps, nor on the order of steps", () => {
    const [first, second] = steps;
    const half = first && { ...first, badBaseline: 45, badCandidate: 2 };
    const cut = [second, half, half].flatMap((step) => step ?? []);
    expect(ratioEvidence(cut, 1.5)).toBeCloseTo(ratioEvidence(steps, 1.5), 10);
  });

  it("grows with the candidate's bad ones, shrinks with the baseline's, the share and the tolerance", () => {
    const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(fc.nat(50), fc.nat(50), share, share, (mine, theirs, a, b) => {
        const evidence = (badCandidate: number, badBaseline: number, part: number, ratio = 1.5) =>
          ratioEvidence([{ badBaseline, badCandidate, share: part }], ratio);
        const here = evidence(mine, theirs, a);
        expect(evidence(mine + 1, theirs, a)).toBeGreaterThan(here);
        expect(evidence(mine, theirs + 1, a)).toBeLessThan(here);
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        expect(evidence(mine, theirs, high)).toBeLessThanOrEqual(
          evidence(mine, theirs, low) + 1e-9,
        );
        expect(evidence(mine, theirs, a, 3)).toBeLessThanOrEqual(here + 1e-9);
      }),
    );
  });
});

describe("an upper bound of a share", () => {
  it("is 1 while nothing was seen, and 1 when all was bad", () => {
    expect(upperShare(0, 0, 0.01)).toBe(1);
    expect(upperShare(5, 5, 0.01)).toBe(1);
  });

  it("comes down to the share as more is seen", () => {
    const bounds = [100, 1_000, 10_000, 1_000_000].map((total) =>
      upperShare(total / 100, total, 0.001),
    );
    expect(bounds).toEqual(bounds.toSorted((a, b) => b - a));
    expect(bounds[0]).toBeLessThan(0.2);
    expect(bounds[3]).toBeLessThan(0.016);
    expect(bounds[3]).toBeGreaterThan(0.01);
  });

  it.each([0.005, 0.1, 0.5])(
    "is ever below a real share of %d with a chance below 0.05",
    (real) => {
      const chance = everReaches(0.05, 80, real, (bad, total) =>
        upperShare(bad, total, 0.05) < real ? Infinity : 0,
      );
      expect(chance).toBeLessThanOrEqual(0.05);
    },
  );
});

/**
 * Requests one by one, each the candidate's with a chance of `share`, each failing with `rate` (times `ratio`
 * for the candidate): the exact chance that evidence by the observed share ever reaches 1/alpha, and the
 * largest mean that it has after any number of requests.
 */
function observedShare(share: number, rate: number, ratio: number, length: number, alpha: number) {
  type State = readonly [candidate: number, badCandidate: number, badBaseline: number];
  const bad = rate * ratio;
  const step = (states: Map<string, [State, number]>) => {
    const next = new Map<string, [State, number]>();
    const add = (state: State, weight: number) => {
      const key = state.join();
      next.set(key, [state, (next.get(key)?.[1] ?? 0) + weight]);
    };
    for (const [[candidate, mine, theirs], weight] of states.values()) {
      add([candidate + 1, mine + 1, theirs], weight * share * bad);
      add([candidate + 1, mine, theirs], weight * share * (1 - bad));
      add([candidate, mine, theirs + 1], weight * (1 - share) * rate);
      add([candidate, mine, theirs], weight * (1 - share) * (1 - rate));
    }
    return next;
  };
  const start = (): Map<string, [State, number]> => new Map([["", [[0, 0, 0], 1]]]);
  let [all, alive] = [start(), start()];
  let [chance, largestMean] = [0, 0];
  for (let total = 1; total <= length; total++) {
    const logOf = ([candidate, badCandidate, badBaseline]: State) =>
      ratioEvidence([{ badBaseline, badCandidate, share: candidate / total }], ratio);
    all = step(all);
    alive = step(alive);
    let average = 0;
    for (const [state, weight] of all.values()) average += weight * Math.exp(logOf(state));
    largestMean = Math.max(largestMean, average);
    for (const [key, [state, weight]] of alive) {
      if (logOf(state) < -Math.log(alpha)) continue;
      chance += weight;
      alive.delete(key);
    }
  }
  return { chance, largestMean };
}
