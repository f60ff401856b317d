import * as v from "valibot";

import type { RequestEvent, ShadowEvent } from "../../src/billing/usage-event.ts";
import { addValue, emptyHistogram } from "../../src/rollout/histogram.ts";
import { RolloutPlan } from "../../src/rollout/plan.ts";
import type { ArmStats, ComparisonStats, RolloutStats } from "../../src/rollout/stats.ts";
import { emptyStats } from "../../src/rollout/tally.ts";

export const BASELINE = 3;
export const CANDIDATE = 4;

export function planOf(parts: Partial<v.InferInput<typeof RolloutPlan>> = {}): RolloutPlan {
  return v.parse(RolloutPlan, { version: CANDIDATE, ...parts });
}

/** @param latency how many answers took how many milliseconds, by stratum */
export function armOf(
  requests: number,
  errors = 0,
  latency: Record<string, Record<number, number>> = {},
): ArmStats {
  const histograms = Object.entries(latency).map(([stratum, answers]) => {
    const histogram = emptyHistogram();
    for (const [milliseconds, count] of Object.entries(answers)) {
      for (let at = 0; at < count; at++) addValue(histogram, Number(milliseconds));
    }
    return [stratum, histogram] as const;
  });
  return { requests, errors, latency: Object.fromEntries(histograms) };
}

export function statsOf(
  steps: readonly (readonly [baseline: ArmStats, candidate: ArmStats])[],
  comparisons: Partial<ComparisonStats> = {},
): RolloutStats {
  const empty = emptyStats();
  return {
    steps: steps.map(([baseline, candidate]) => ({ baseline, candidate })),
    comparisons: { ...empty.comparisons, ...comparisons },
  };
}

export function requestOf(parts: Partial<RequestEvent> = {}): RequestEvent {
  return {
    schema: 1,
    kind: "request",
    id: "e1",
    at: 1,
    requestId: "r1",
    model: "minilm",
    version: CANDIDATE,
    catalog: 10,
    placement: "edge",
    units: { tokens: 5 },
    start: "warm",
    milliseconds: 12,
    flag: "minilm",
    variant: "next",
    reason: "SPLIT",
    outcome: "ok",
    status: 200,
    billed: true,
    ...parts,
  };
}

export function shadowOf(parts: Partial<ShadowEvent> = {}): ShadowEvent {
  return {
    schema: 1,
    kind: "shadow",
    id: "s1",
    at: 1,
    requestId: "r1",
    model: "minilm",
    version: CANDIDATE,
    against: BASELINE,
    catalog: 10,
    placement: "edge",
    units: { tokens: 6 },
    unitsAgainst: { tokens: 5 },
    outcome: "compared",
    comparison: { kind: "embedding", items: 1, flips: 0, distances: [0] },
    inputDigest: "aa",
    billed: false,
    ...parts,
  };
}
