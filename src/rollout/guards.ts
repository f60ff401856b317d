import { findCost } from "./guards/cost.ts";
import { findDisagreement } from "./guards/disagreement.ts";
import { findErrors } from "./guards/errors.ts";
import type { GuardFinding } from "./guards/finding.ts";
import { findLatency } from "./guards/latency.ts";
import type { RolloutPlan } from "./plan.ts";
import type { RolloutStats } from "./stats.ts";

export type { GuardFinding };

/**
 * What each guard that the plan has finds in the counts so far. May be asked as often as one likes: a
 * candidate that is no worse than its limits breaks any of them, ever, with a chance of at most
 * `plan.falseAlarms`. Errors, latency and disagreement share it equally. Costs are compared for the same
 * inputs, so identical versions cost the same and chance has no part in it.
 */
export function evaluateGuards(
  plan: Pick<RolloutPlan, "steps" | "falseAlarms" | "guards">,
  stats: RolloutStats,
): GuardFinding[] {
  const { errors, latency, disagreement, cost } = plan.guards;
  const tests = [errors, latency, disagreement].filter((guard) => guard !== false).length;
  const chance = plan.falseAlarms / tests;
  const findings: GuardFinding[] = [];
  if (errors !== false) findings.push(findErrors(plan.steps, errors, stats, chance));
  if (latency !== false) findings.push(findLatency(latency, stats, chance));
  if (disagreement !== false) findings.push(findDisagreement(disagreement, stats, chance));
  if (cost !== false) findings.push(findCost(cost, stats));
  return findings;
}
