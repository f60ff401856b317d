import { eValue, proportionEvidence } from "../evidence.ts";
import type { RolloutStats } from "../stats.ts";
import type { GuardFinding, Settings } from "./finding.ts";
import { rateOf } from "./rates.ts";
import { count, percent, weight } from "./words.ts";

/** Each compared request counts as one, by its share of items that disagree: the rows of one are alike. */
export function findDisagreement(
  { share: allowed }: Settings<"disagreement">,
  { comparisons }: RolloutStats,
  chance: number,
): GuardFinding {
  const { requests, disagreeing, items, disagreements } = comparisons;
  const needed = 1 / chance;
  const log = proportionEvidence(disagreeing, requests, allowed);
  const evidence = eValue(log);
  const share = rateOf(disagreeing, requests);
  return {
    guard: "disagreement",
    broken: log >= Math.log(needed),
    observed: requests > 0 ? { share } : {},
    allowed,
    evidence,
    needed,
    sentence:
      requests > 0
        ? `${percent(share)} of answers differ (${count(disagreements)} of ${count(items)} items in ${count(requests)} shadows); ${percent(allowed)} is allowed; ${weight(evidence, needed)}.`
        : "No answers have been compared yet.",
  };
}
