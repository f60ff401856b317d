import type { Guards } from "../plan.ts";

/** What one guard saw, in numbers and in words. */
export interface GuardFinding {
  readonly guard: keyof Guards;
  readonly broken: boolean;
  /** Error rates, 95th percentiles in milliseconds, or units; what is not known yet is absent. */
  readonly observed: {
    readonly baseline?: number;
    readonly candidate?: number;
    readonly ratio?: number;
    readonly share?: number;
  };
  /** The limit, of what the guard limits: a rate, a ratio or a share. */
  readonly allowed: number;
  /** The e-value (src/rollout/evidence.ts), and from which on it decides. */
  readonly evidence?: number;
  readonly needed?: number;
  /** For a person. */
  readonly sentence: string;
}

/** A guard's part of the plan, when it is on. */
export type Settings<K extends keyof Guards> = Exclude<Guards[K], false | undefined>;
