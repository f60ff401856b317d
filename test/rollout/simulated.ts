import { decide, type Decision } from "../../src/rollout/decide.ts";
import { addValue, emptyHistogram } from "../../src/rollout/histogram.ts";

import type { ArmStats, RolloutStats } from "../../src/rollout/stats.ts";
import { emptyStats } from "../../src/rollout/tally.ts";
import { planOf } from "./support.ts";

/** How a version really behaves. */
export interface Behaviour {
  /** Share of its requests that fail. */
  readonly errors: number;
  /** Median of its log-normal times, in milliseconds. */
  readonly median: number;
}

export interface World {
  readonly baseline: Behaviour;
  readonly candidate: Behaviour;
  /** Share of compared items that differ. */
  readonly disagreement: number;
}

export interface Outcome {
  readonly decision: Decision;
  /** Requests that the candidate answered until then. */
  readonly candidateRequests: number;
}

const BATCH = 50;
const SPREAD = 0.5;
const STRATUM = "edge/warm";

export const DEFAULT_PLAN = planOf({ minSeconds: 0 });

/** Mulberry32: small, fast, and the same everywhere. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Buckets of 4,096 equally likely times: which bucket a time falls into is all that a histogram keeps. */
function bucketsOf(median: number): string[] {
  const random = seeded(7);
  return Array.from({ length: 4_096 }, (_, index) => {
    const milliseconds = median * Math.exp(SPREAD * normalQuantile((index + random()) / 4_096));
    return String(bucketNumber(milliseconds));
  });
}

/** By halving: it runs a few thousand times only. */
function normalQuantile(p: number): number {
  let [low, high] = [-6, 6];
  for (let round = 0; round < 50; round++) {
    const middle = (low + high) / 2;
    if (normalBelow(middle) < p) low = middle;
    else high = middle;
  }
  return low;
}

/** Abramowitz and Stegun 26.2.17. */
function normalBelow(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  const series =
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x >= 0 ? 1 - density * series : density * series;
}

const KNOWN_BUCKETS = new Map<number, string[]>();

/**
 * Runs a rollout to its end, with a look at it after every 50 requests: after each that could change the
 * decision, which takes a failure, a slow answer or a difference of the candidate's, or enough requests.
 */
export function runRollout(world: World, random: () => number, plan = DEFAULT_PLAN): Outcome {
  const stats = emptyStats();
  const slow = bucketNumber(world.baseline.median * Math.exp(SPREAD));
  const arms = { baseline: simulatedArm(world.baseline), candidate: simulatedArm(world.candidate) };
  let candidateRequests = 0;
  for (let step = 0; ;) {
    const current = (stats.steps[step] ??= { baseline: emptyArm(), candidate: emptyArm() });
    const share = (plan.steps[step] ?? 0) / 100;
    let isOfInterest = false;
    for (let request = 0; request < BATCH; request++) {
      if (random() < share) {
        candidateRequests++;
        const bucket = addRequest(current.candidate, arms.candidate, random);
        isOfInterest ||= bucket === undefined || Number(bucket) > slow;
      } else addRequest(current.baseline, arms.baseline, random);
      if (random() < plan.shadowRate) {
        const differs = random() < world.disagreement;
        addShadow(stats, differs);
        isOfInterest ||= differs;
      }
    }
    if (!isOfInterest && current.candidate.requests < plan.minRequests) continue;
    const decision = decide({ plan, step, stepStartedAt: 0, now: 0, stats });
    if (decision.action === "advance") step++;
    else if (decision.action !== "wait") return { decision, candidateRequests };
  }
}

interface SimulatedArm {
  readonly errors: number;
  readonly buckets: readonly string[];
}

function simulatedArm({ errors, median }: Behaviour): SimulatedArm {
  let buckets = KNOWN_BUCKETS.get(median);
  if (buckets === undefined) KNOWN_BUCKETS.set(median, (buckets = bucketsOf(median)));
  return { errors, buckets };
}

function bucketNumber(milliseconds: number): number {
  const histogram = emptyHistogram();
  addValue(histogram, milliseconds);
  return Number(Object.keys(histogram.buckets)[0]);
}

function emptyArm(): ArmStats {
  return { requests: 0, errors: 0, latency: {} };
}

/** @returns the bucket of its time, undefined when it failed */
function addRequest(
  counts: ArmStats,
  { errors, buckets }: SimulatedArm,
  random: () => number,
): string | undefined {
  counts.requests++;
  if (random() < errors) {
    counts.errors++;
    return undefined;
  }
  const histogram = (counts.latency[STRATUM] ??= emptyHistogram());
  const bucket = buckets[Math.floor(random() * buckets.length)] ?? "";
  histogram.count++;
  histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + 1;
  return bucket;
}

function addShadow({ comparisons }: RolloutStats, differs: boolean): void {
  const disagreements = differs ? 1 : 0;
  comparisons.outcomes["compared"] = (comparisons.outcomes["compared"] ?? 0) + 1;
  comparisons.items++;
  comparisons.requests++;
  comparisons.disagreeing += disagreements;
  comparisons.disagreements += disagreements;
  comparisons.units.baseline += 10;
  comparisons.units.candidate += 10;
}
