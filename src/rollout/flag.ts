import type { Flag } from "../catalog/catalog.ts";
import type { RolloutPlan } from "./plan.ts";

/** Variants that a rollout's flag chooses between. */
export const CURRENT = "current";
export const NEXT = "next";

/**
 * The flag of a rollout at one of its steps. The candidate's buckets are the last ones of flagd's hash, so a
 * larger share only moves callers from the baseline to the candidate. With 100 % the baseline stays a variant
 * (with a share of 0), so that the candidate's shadows go on.
 */
export function rolloutFlag({
  plan,
  baseline,
  step,
}: {
  readonly plan: Pick<RolloutPlan, "version" | "steps" | "shadowRate">;
  readonly baseline: number;
  /** Index into the plan's steps. */
  readonly step: number;
}): Flag {
  const share = plan.steps[step];
  if (share === undefined) throw new RangeError(`The plan has no step ${step}.`);
  const variant = (version: number, other: number) => ({
    version,
    ...(plan.shadowRate > 0 && { shadow: { version: other, rate: plan.shadowRate } }),
  });
  return {
    state: "ENABLED",
    variants: {
      [CURRENT]: variant(baseline, plan.version),
      [NEXT]: variant(plan.version, baseline),
    },
    // A rollback of the catalog must not bring a flag back whose rollout is over.
    metadata: { rollout: plan.version },
    defaultVariant: CURRENT,
    targeting: {
      fractional: [
        [CURRENT, 100 - share],
        [NEXT, share],
      ],
    },
  };
}
