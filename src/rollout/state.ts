import type { AuditRecord } from "../control/audit.ts";
import type { RolloutPlan } from "./plan.ts";
import type { RolloutStatus } from "./view.ts";

/** What a transition does, as the audit log calls it. */
export type TransitionAction =
  | "start"
  | "advance"
  | "pause"
  | "resume"
  | "promote"
  | "roll_back"
  | "abort"
  | "supersede";

/** A decision about a rollout. It is stored before it is carried out, so that a crash loses none. */
export interface Transition {
  readonly action: TransitionAction;
  /** Where the rollout is when it is done. */
  readonly status: RolloutStatus;
  readonly step: number;
  readonly actor: string;
  /** Why, with the numbers that decided. */
  readonly reason: string;
  /** Guards' findings and counts at the time, for the audit log. */
  readonly evidence: unknown;
}

/** A rollout as it is stored. Plain JSON. */
export interface RolloutState {
  readonly id: string;
  readonly model: string;
  readonly plan: RolloutPlan;
  readonly baseline: number;
  readonly status: RolloutStatus;
  readonly step: number;
  /** Number of the catalog with which each step began: what the edge counts carries it. */
  readonly stepCatalogs: readonly number[];
  /** Milliseconds since the epoch. */
  readonly stepStartedAt: number;
  readonly pausedAt?: number;
  readonly startedAt: number;
  readonly startedBy: string;
  readonly endedAt?: number;
  readonly endedBy?: string;
  readonly reason?: string;
  /** Counts the decisions. */
  readonly revision: number;
  /** Decided, and perhaps not yet in the catalog. */
  readonly pending?: Transition;
  /** Done, and perhaps not yet in the audit log. */
  readonly unaudited: readonly AuditRecord[];
}

export function isOver({ status }: Pick<RolloutState, "status">): boolean {
  return status !== "running" && status !== "paused";
}
