import type { RolloutState } from "./state.ts";
import type { ComparisonStats, RolloutStats } from "./stats.ts";

/** Where the rollouts of one model are kept. Every call is one transaction. */
export interface RolloutStore {
  newest(limit: number): RolloutState[];
  latest(): RolloutState | undefined;
  save(state: RolloutState): void;
  /** For a rollout that could not start. */
  remove(id: string): void;
  stats(id: string): RolloutStats | undefined;
  saveStats(id: string, stats: RolloutStats): void;
  /** Remembers an event. @returns false when it was there already */
  isNew(eventId: string, at: number): boolean;
  /** Counts of shadows outside rollouts, by pair of versions. */
  shadowPairs(): ShadowPair[];
  shadowPair(against: number, version: number): ComparisonStats | undefined;
  saveShadowPair(against: number, version: number, stats: ComparisonStats): void;
}

/** What the shadows of a flag found, outside rollouts. */
export interface ShadowPair extends ComparisonStats {
  /** The version that answered. */
  readonly against: number;
  /** The version that saw the same input afterwards. */
  readonly version: number;
}
