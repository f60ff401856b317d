import type { RolloutStats } from "../stats.ts";
import type { GuardFinding, Settings } from "./finding.ts";
import { count, times } from "./words.ts";

const LEAST_SHADOWS = 30;

/** Both versions saw the same inputs, so their units are compared as they are. */
export function findCost(
  { ratio: allowed }: Settings<"cost">,
  { comparisons: { units, outcomes } }: RolloutStats,
): GuardFinding {
  const shadows = outcomes["compared"] ?? 0;
  const { baseline, candidate } = units;
  const isKnown = shadows >= LEAST_SHADOWS && baseline > 0;
  const ratio = candidate / baseline;
  return {
    guard: "cost",
    broken: isKnown && ratio > allowed,
    observed: { baseline, candidate, ...(baseline > 0 && { ratio }) },
    allowed,
    sentence: isKnown
      ? `The candidate needs ${count(candidate)} units where the baseline needs ${count(baseline)}: ${times(ratio)}, ${times(allowed)} is allowed.`
      : `${count(shadows)} of the ${LEAST_SHADOWS} shadows have run that costs are compared over.`,
  };
}
