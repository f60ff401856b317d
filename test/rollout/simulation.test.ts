import { describe, expect, it } from "vitest";

import { planOf } from "./support.ts";
import { DEFAULT_PLAN, type Outcome, runRollout, seeded, type World } from "./simulated.ts";

const USUAL = { errors: 0.005, median: 10 };
const SAME: World = { baseline: USUAL, candidate: USUAL, disagreement: 0.005 };

/** Rollouts with a look after every 50 requests, through all steps. */
function rollouts(count: number, world: World, plan = DEFAULT_PLAN) {
  const random = seeded(1);
  const outcomes = Array.from({ length: count }, () => runRollout(world, random, plan));
  const back = outcomes.filter(({ decision }) => decision.action === "roll_back");
  return { share: back.length / count, median: medianRequests(back) };
}

function medianRequests(outcomes: readonly Outcome[]): number {
  const sorted = outcomes.map(({ candidateRequests }) => candidateRequests).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

describe("rollouts of an identical version", () => {
  // Measured: none of 1,000.
  it("are rolled back in at most 1 % of 1,000", () => {
    expect(rollouts(1_000, SAME).share).toBeLessThanOrEqual(0.01);
  });

  // Measured: 0.5 %. The other guards see the same as above, and without them this one has all false alarms.
  it("are rolled back in at most 1 % of 1,000 when as many answers differ as may", () => {
    const guards = { errors: false, latency: false, disagreement: {}, cost: false } as const;
    const plan = planOf({ minSeconds: 0, guards });
    const world = { ...SAME, disagreement: 0.02 };
    expect(rollouts(1_000, world, plan).share).toBeLessThanOrEqual(0.01);
  });
});

describe("rollouts of a worse version", () => {
  it.each([
    // Measured: 100 %, after 35 requests of the candidate (median).
    { what: "takes twice as long", candidate: { ...USUAL, median: 20 }, share: 1, median: 50 },
    // Measured: 100 %, after 8 and 91 shadows.
    { what: "differs in 10 % of answers", disagreement: 0.1, share: 1, median: 20 },
    // Measured: 95 %, after 577 (51 % where steps have 200 requests).
    {
      what: "fails five times as often",
      candidate: { ...USUAL, errors: 0.025 },
      share: 0.85,
      median: 800,
    },
    // Measured: 100 %, after 44.
    {
      what: "fails twenty times as often",
      candidate: { ...USUAL, errors: 0.1 },
      share: 1,
      median: 120,
    },
  ])(
    "that $what are rolled back in at least $share of 200, soon",
    ({ share, median, ...world }) => {
      const found = rollouts(200, { ...SAME, ...world });
      expect(found.share).toBeGreaterThanOrEqual(share);
      expect(found.median).toBeLessThanOrEqual(median);
    },
  );

  // Measured: 100 %, after 580.
  it("that fails five times as often are rolled back where steps have 1,000 requests", () => {
    const plan = planOf({ minSeconds: 0, minRequests: 1_000 });
    const world = { ...SAME, candidate: { ...USUAL, errors: 0.025 } };
    expect(rollouts(40, world, plan)).toMatchObject({ share: 1 });
  });
});
