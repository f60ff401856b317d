import type { RequestEvent, ShadowEvent, UsageEvent } from "../billing/usage-event.ts";
import type { ComparisonKind } from "./comparison.ts";
import { addValue, emptyHistogram } from "./histogram.ts";
import type { RolloutPlan } from "./plan.ts";
import type { ArmStats, ComparisonStats, RolloutStats } from "./stats.ts";

/** Above which distance an answer is another one, unless the plan says otherwise. */
export const DEFAULT_TOLERANCES: Readonly<Record<ComparisonKind, number>> = {
  // its first label decides, not a distance
  classification: Infinity,
  embedding: 0.02,
  text: 0.1,
  boxes: 0.5,
  segments: 0.1,
  tensor: 0.01,
  refusal: 0.5,
};

/** Examples that are kept of the items furthest apart. */
const WORST = 10;

/** What an event is counted against. */
export interface TallyContext {
  readonly plan: Pick<RolloutPlan, "version" | "guards">;
  readonly baseline: number;
  /** Number of the catalog from which each step that was begun holds, rising. */
  readonly stepCatalogs: readonly number[];
}

export function emptyStats(): RolloutStats {
  return {
    steps: [],
    comparisons: {
      outcomes: {},
      items: 0,
      requests: 0,
      disagreeing: 0,
      disagreements: 0,
      flips: 0,
      distances: emptyHistogram(),
      units: { baseline: 0, candidate: 0 },
      worst: [],
    },
  };
}

/**
 * Whether a request failed by our fault. That an input is refused, or can't be computed, is the caller's
 * fault as often as the version's: its shadow tells, because there the other version sees the same input.
 */
export function isFault({ status }: Pick<RequestEvent, "status">): boolean {
  return status >= 500;
}

/**
 * Counts an event in place, if it is the rollout's: a request that the flag routed to one of the two versions
 * (whoever names a version is no random sample, and would bias the arms), or a shadow that compared the two;
 * decided by a catalog of the rollout. The caller sees to it that each id comes once.
 *
 * A request costs two counters and one bucket; a shadow three counters and a bucket for each of its items.
 */
export function addEvent(stats: RolloutStats, event: UsageEvent, context: TallyContext): void {
  const step = context.stepCatalogs.findLastIndex((catalog) => catalog <= event.catalog);
  if (step < 0) return;
  if (event.kind === "request") {
    addRequest(stats, event, step, context);
    return;
  }
  const { plan, baseline } = context;
  const isPair =
    (event.version === plan.version && event.against === baseline) ||
    (event.version === baseline && event.against === plan.version);
  if (!isPair) return;
  const { disagreement } = plan.guards;
  const tolerance = disagreement === false ? undefined : disagreement.tolerance;
  addShadow(stats.comparisons, event, { baseline, ...(tolerance !== undefined && { tolerance }) });
}

/**
 * Counts a shadow of two versions, one of which is the baseline, in place.
 *
 * @param options.tolerance above which distance an answer is another one; else that of what is compared
 */
export function addShadow(
  comparisons: ComparisonStats,
  event: ShadowEvent,
  { baseline, tolerance }: { readonly baseline: number; readonly tolerance?: number },
): void {
  comparisons.outcomes[event.outcome] = (comparisons.outcomes[event.outcome] ?? 0) + 1;
  if (event.outcome !== "compared" || event.comparison === undefined) return;

  const ofShadow = total(event.units);
  const ofAnswer = total(event.unitsAgainst);
  const isBaseline = event.version === baseline;
  comparisons.units.candidate += isBaseline ? ofAnswer : ofShadow;
  comparisons.units.baseline += isBaseline ? ofShadow : ofAnswer;

  const { kind, items, flips, distances } = event.comparison;
  if (items === 0) return;
  const limit = tolerance ?? DEFAULT_TOLERANCES[kind];
  let worst = 0;
  let apart = 0;
  for (const distance of distances) {
    addValue(comparisons.distances, distance);
    if (distance > limit) apart++;
    if (distance > worst) worst = distance;
  }
  // of a classification both are known, but not for which items: at least the larger of the two disagree
  const disagreements = Math.min(Math.max(flips, apart), items);
  comparisons.items += items;
  comparisons.flips += flips;
  comparisons.disagreements += disagreements;
  comparisons.requests++;
  comparisons.disagreeing += disagreements / items;
  if (worst > 0) keepWorst(comparisons, worst, event);
}

function addRequest(
  stats: RolloutStats,
  event: RequestEvent,
  step: number,
  { plan, baseline }: TallyContext,
): void {
  if (event.flag !== event.model || event.variant === undefined) return;
  if (event.version !== plan.version && event.version !== baseline) return;
  while (stats.steps.length <= step) {
    stats.steps.push({ baseline: emptyArm(), candidate: emptyArm() });
  }
  const arm = stats.steps[step]?.[event.version === baseline ? "baseline" : "candidate"];
  if (arm === undefined) return;
  arm.requests++;
  if (isFault(event)) arm.errors++;
  // how fast a failure comes says nothing about the version's speed
  if (event.outcome !== "ok" || event.start === undefined) return;
  addValue(
    (arm.latency[`${event.placement}/${event.start}`] ??= emptyHistogram()),
    event.milliseconds,
  );
}

function keepWorst(
  comparisons: ComparisonStats,
  distance: number,
  { inputDigest, requestId, at }: ShadowEvent,
): void {
  if (inputDigest === undefined) return;
  const { worst } = comparisons;
  const last = worst[WORST - 1];
  if (last !== undefined && last.distance >= distance) return;
  const known = worst.find((example) => example.inputDigest === inputDigest);
  if (known !== undefined && known.distance >= distance) return;
  comparisons.worst = [
    ...worst.filter((example) => example !== known),
    { distance, inputDigest, requestId, at },
  ]
    .sort((a, b) => b.distance - a.distance)
    .slice(0, WORST);
}

function emptyArm(): ArmStats {
  return { requests: 0, errors: 0, latency: {} };
}

function total(units: Readonly<Record<string, number>>): number {
  return Object.values(units).reduce((sum, count) => sum + count, 0);
}
