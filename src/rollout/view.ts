import type { UsageEvent } from "../billing/usage-event.ts";
import type { ErrorCode, FieldProblem } from "../errors.ts";
import type { RolloutPlan } from "./plan.ts";

/** `running` and `paused` go on; all others are an end. */
export type RolloutStatus =
  | "running"
  | "paused"
  | "promoted"
  | "rolled_back"
  | "aborted"
  | "superseded";

/** What an operator may tell a rollout to do. */
export const ROLLOUT_ACTIONS = ["pause", "resume", "promote", "abort"] as const;
export type RolloutAction = (typeof ROLLOUT_ACTIONS)[number];

/** What a guard found the last time it was asked. Guards add their own numbers. */
export interface RolloutFinding {
  readonly guard: string;
  readonly broken: boolean;
  /** For a person, with the numbers in it. */
  readonly sentence: string;
}

/** One version since the rollout began, or at its present step. */
export interface ArmSummary {
  readonly requests: number;
  readonly errors: number;
}

export interface RolloutSummary {
  readonly baseline: ArmSummary;
  readonly candidate: ArmSummary;
  /** Of the present step only. */
  readonly step: { readonly baseline: ArmSummary; readonly candidate: ArmSummary };
  readonly comparisons: {
    /** Shadows by outcome. */
    readonly outcomes: Readonly<Record<string, number>>;
    readonly items: number;
    readonly disagreements: number;
    readonly flips: number;
  };
}

/** A rollout as operators see it. Plain JSON: it travels from its Durable Object to the API as it is. */
export interface RolloutView {
  /** Changes with every decision about the rollout, and not with what is counted. Quoted, as in `If-Match`. */
  readonly etag: string;
  readonly model: string;
  readonly id: string;
  readonly status: RolloutStatus;
  readonly plan: RolloutPlan;
  /** The version that was `stable` when the rollout began. */
  readonly baseline: number;
  /** Index into `plan.steps`. */
  readonly step: number;
  /** Percent of callers that get the candidate now. */
  readonly share: number;
  /** Times are ISO 8601. */
  readonly stepStartedAt: string;
  readonly startedAt: string;
  readonly startedBy: string;
  readonly endedAt?: string;
  readonly endedBy?: string;
  /** Why it ended or was paused, with the numbers that decided. */
  readonly reason?: string;
  readonly findings: readonly RolloutFinding[];
  /** What the present step still lacks. */
  readonly waitingFor?: string;
  readonly stats: RolloutSummary;
}

/** What a Durable Object answers where it may refuse: the class of an error does not survive RPC. */
export type RpcResult<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly code: ErrorCode;
      readonly message: string;
      readonly field?: string;
      readonly problems?: readonly FieldProblem[];
    };

/** What the API asks of a model's Durable Object. */
export interface RolloutsOfModel {
  start(plan: RolloutPlan, actor: string, dryRun: boolean): Promise<RpcResult<RolloutView>>;
  /** @param etag as in `If-Match`, or `*` */
  act(
    action: RolloutAction,
    reason: string | undefined,
    actor: string,
    etag: string,
    dryRun: boolean,
  ): Promise<RpcResult<RolloutView>>;
  /** The running one, else the latest. */
  current(): Promise<RolloutView | null>;
  /** Newest first. */
  list(): Promise<RolloutView[]>;
  /** Counts of shadows outside rollouts, by pair of versions. */
  shadows(): Promise<unknown[]>;
  isRunning(): Promise<boolean>;
  /**
   * Counts events, each id once.
   *
   * @param unsettled ids of those that come again, because they can't be billed yet: only rollouts look at them now
   */
  record(events: UsageEvent[], unsettled?: string[]): Promise<void>;
}
