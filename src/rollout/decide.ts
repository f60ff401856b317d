import { evaluateGuards, type GuardFinding } from "./guards.ts";
import type { RolloutPlan } from "./plan.ts";
import type { RolloutStats } from "./stats.ts";

export interface Decision {
  readonly action: "wait" | "advance" | "promote" | "roll_back";
  /** For a person, with the numbers that decided. */
  readonly reason: string;
  readonly findings: readonly GuardFinding[];
}

export interface DecisionInput {
  readonly plan: RolloutPlan;
  /** Index into the plan's steps. */
  readonly step: number;
  /** Milliseconds since the epoch, as `now`. */
  readonly stepStartedAt: number;
  readonly now: number;
  readonly stats: RolloutStats;
}

/**
 * What a rollout does next. Back as soon as a guard is broken: evidence needs no minimum. On when the step
 * lasted long enough and saw enough requests, and enough items were compared; after the last step that is
 * the promotion. Looking more often does not make a false alarm likelier.
 */
export function decide({ plan, step, stepStartedAt, now, stats }: DecisionInput): Decision {
  const findings = evaluateGuards(plan, stats);
  const broken = findings.filter((finding) => finding.broken);
  if (broken.length > 0) {
    const reason = broken.map((finding) => `${finding.guard}: ${finding.sentence}`).join(" ");
    return { action: "roll_back", reason, findings };
  }
  const missing = missingOf(plan, step, (now - stepStartedAt) / 1000, stats);
  if (missing.length > 0) {
    return { action: "wait", reason: `Waits for ${missing.join(", ")}.`, findings };
  }
  const requests = stats.steps[step]?.candidate.requests ?? 0;
  const seen = `no guard is broken after ${requests} requests of the candidate at ${plan.steps[step]} %`;
  const next = plan.steps[step + 1];
  return next === undefined
    ? { action: "promote", reason: `Promoted: ${seen}.`, findings }
    : { action: "advance", reason: `On to ${next} %: ${seen}.`, findings };
}

/** What a step still lacks, each as "so many more of these". */
function missingOf(
  plan: RolloutPlan,
  step: number,
  seconds: number,
  { steps, comparisons }: RolloutStats,
): string[] {
  const missing: string[] = [];
  if (seconds < plan.minSeconds) {
    missing.push(`${Math.ceil(plan.minSeconds - seconds)} more of ${plan.minSeconds} seconds`);
  }
  const requests = steps[step]?.candidate.requests ?? 0;
  if (requests < plan.minRequests) {
    missing.push(
      `${plan.minRequests - requests} more of ${plan.minRequests} requests of the candidate`,
    );
  }
  const isCompared = plan.guards.disagreement !== false && plan.shadowRate > 0;
  if (isCompared && comparisons.items < plan.minComparisons) {
    missing.push(
      `${plan.minComparisons - comparisons.items} more of ${plan.minComparisons} compared items${notesOn(comparisons.outcomes)}`,
    );
  }
  return missing;
}

const WHY: Readonly<Record<string, string>> = {
  failed: "failed",
  skipped_busy: "found no quiet moment",
  skipped_memory: "found no room beside the version that answers",
};

/** Why there are fewer comparisons than shadows. */
function notesOn(outcomes: Readonly<Record<string, number>>): string {
  const notes = Object.entries(WHY).flatMap(([outcome, words]) => {
    const count = outcomes[outcome] ?? 0;
    return count > 0 ? [`${count} shadows ${words}`] : [];
  });
  return notes.length > 0 ? ` (${notes.join(", ")})` : "";
}
