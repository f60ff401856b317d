import * as v from "valibot";

import { ModelVersion } from "../catalog/manifest.ts";

const Share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const Ratio = v.pipe(v.number(), v.minValue(1), v.maxValue(100));
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const Steps = v.pipe(
  v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(100))),
  v.minLength(1),
  v.check(
    (steps) => steps.every((step, at) => at === 0 || step > (steps[at - 1] ?? 0)),
    "must rise",
  ),
  v.check((steps) => steps.at(-1) === 100, "must end with 100"),
);

/** What breaks a rollout; `false` in the place of a guard leaves it out. */
export const Guards = v.strictObject({
  /** Share of requests that fail by our fault or the model's: at most `ratio` times the baseline's, and never above it by less than `least`. */
  errors: v.optional(
    v.union([
      v.literal(false),
      v.strictObject({ ratio: v.optional(Ratio, 1.5), least: v.optional(Share, 0.001) }),
    ]),
    { ratio: 1.5, least: 0.001 },
  ),
  /** 95th percentile of the time to an answer, against the baseline's with the same placement and start. */
  latency: v.optional(
    v.union([v.literal(false), v.strictObject({ ratio: v.optional(Ratio, 1.5) })]),
    { ratio: 1.5 },
  ),
  /** Share of compared items whose answer is another one: another first label, or a distance above `tolerance`. */
  disagreement: v.optional(
    v.union([
      v.literal(false),
      v.strictObject({
        share: v.optional(Share, 0.02),
        tolerance: v.optional(v.pipe(v.number(), v.minValue(0))),
      }),
    ]),
    { share: 0.02 },
  ),
  /** Units of the same inputs, against the baseline's: what a caller would pay for. */
  cost: v.optional(v.union([v.literal(false), v.strictObject({ ratio: v.optional(Ratio, 1.2) })]), {
    ratio: 1.2,
  }),
});
export type Guards = v.InferOutput<typeof Guards>;

/** How a version is rolled out, as its operator asks for it. */
export const RolloutPlan = v.pipe(
  v.strictObject({
    /** The candidate. What `stable` names when the rollout starts is the baseline. */
    version: ModelVersion,
    /** Percent of callers that get the candidate, step by step. */
    steps: v.optional(Steps, [1, 5, 25, 50, 100]),
    /** A step lasts this long at least. */
    minSeconds: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(30 * 86_400)), 600),
    /** And until the candidate has answered this many requests at it. Fewer find errors that rose fivefold too seldom (test/rollout/simulation.test.ts). */
    minRequests: v.optional(Count, 500),
    /** The first step ends when this many items have been compared, if disagreement is guarded. */
    minComparisons: v.optional(Count, 200),
    /** Share of requests that the other version answers, too, in the shadow. */
    shadowRate: v.optional(Share, 0.1),
    /** Chance that a rollout of an identical version is rolled back, all guards together. */
    falseAlarms: v.optional(v.pipe(v.number(), v.gtValue(0), v.maxValue(0.5)), 0.01),
    guards: v.optional(Guards, {}),
  }),
  v.check(
    ({ shadowRate, guards: { disagreement, cost } }) =>
      shadowRate > 0 || (disagreement === false && cost === false),
    "without shadows nothing is compared: set guards.disagreement and guards.cost to false, too (--no-shadow)",
  ),
);
export type RolloutPlan = v.InferOutput<typeof RolloutPlan>;
