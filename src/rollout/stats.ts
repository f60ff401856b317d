import type { HistogramData } from "./histogram.ts";

/** Counts of one version at one step. Plain JSON: it is stored as it is. */
export interface ArmStats {
  requests: number;
  /** Requests that failed by our fault: a status of 500 and more. */
  errors: number;
  /** Milliseconds of answers, by `<placement>/<start>`: `edge/warm`. */
  latency: Record<string, HistogramData>;
}

/** Of all shadows that compared the two versions since the rollout began, whichever answered. */
export interface ComparisonStats {
  /** Shadows by outcome: `compared`, `failed`, `skipped_busy`, `skipped_memory`. */
  outcomes: Record<string, number>;
  items: number;
  /**
   * Compared requests that had items, and the sum of each one's share of items that disagree. The guard
   * judges by these: rows of one request resemble each other, so they are no independent evidence.
   */
  requests: number;
  disagreeing: number;
  /** Items whose answers are another one, by the guard's tolerance. */
  disagreements: number;
  flips: number;
  distances: HistogramData;
  /** Units of the same inputs, all kinds of units added up. */
  units: { baseline: number; candidate: number };
  /** The items furthest apart, the worst first. */
  worst: { distance: number; inputDigest: string; requestId: string; at: number }[];
}

/** Everything that a rollout decides by. */
export interface RolloutStats {
  /** One for each step of the plan that was begun. */
  steps: { baseline: ArmStats; candidate: ArmStats }[];
  comparisons: ComparisonStats;
}
