import { decide } from "./decide.ts";
import { isOver, type RolloutState } from "./state.ts";
import type { ArmStats, RolloutStats } from "./stats.ts";
import type { ArmSummary, RolloutSummary, RolloutView } from "./view.ts";

/** Changes with every decision, and not with what is counted. Quoted, as in `If-Match`. */
export function etagOf({ id, revision }: Pick<RolloutState, "id" | "revision">): string {
  return `"${id}-${revision}"`;
}

/** A rollout as operators see it. @param now milliseconds since the epoch */
export function viewOf(state: RolloutState, stats: RolloutStats, now: number): RolloutView {
  const { plan, step, status } = state;
  const { action, reason, findings } = decide({
    plan,
    step,
    stepStartedAt: state.stepStartedAt,
    now,
    stats,
  });
  return {
    etag: etagOf(state),
    model: state.model,
    id: state.id,
    status,
    plan,
    baseline: state.baseline,
    step,
    share: isOver(state) ? (status === "promoted" ? 100 : 0) : (plan.steps[step] ?? 0),
    stepStartedAt: new Date(state.stepStartedAt).toISOString(),
    startedAt: new Date(state.startedAt).toISOString(),
    startedBy: state.startedBy,
    ...(state.endedAt !== undefined && { endedAt: new Date(state.endedAt).toISOString() }),
    ...(state.endedBy !== undefined && { endedBy: state.endedBy }),
    ...(state.reason !== undefined && { reason: state.reason }),
    findings,
    ...(!isOver(state) && action === "wait" && { waitingFor: reason }),
    stats: summaryOf(stats, step),
  };
}

/** Counts of a rollout, and of its present step. */
export function summaryOf({ steps, comparisons }: RolloutStats, step: number): RolloutSummary {
  const { outcomes, items, disagreements, flips } = comparisons;
  return {
    baseline: sumOf(steps.map(({ baseline }) => baseline)),
    candidate: sumOf(steps.map(({ candidate }) => candidate)),
    step: {
      baseline: sumOf([steps[step]?.baseline]),
      candidate: sumOf([steps[step]?.candidate]),
    },
    comparisons: { outcomes, items, disagreements, flips },
  };
}

function sumOf(arms: readonly (ArmStats | undefined)[]): ArmSummary {
  let [requests, errors] = [0, 0];
  for (const arm of arms) {
    requests += arm?.requests ?? 0;
    errors += arm?.errors ?? 0;
  }
  return { requests, errors };
}
