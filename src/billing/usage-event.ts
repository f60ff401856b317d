import * as v from "valibot";

import { ModelName, ModelVersion } from "../catalog/manifest.ts";
import { Billing } from "./ledger/event.ts";
import { ShadowComparison } from "../rollout/comparison.ts";

const Milliseconds = v.pipe(v.number(), v.minValue(0));

const COMMON = {
  schema: v.literal(1),
  /** Queues deliver at least once: whoever counts, counts each id once. */
  id: v.string(),
  /** When the answer was ready, in milliseconds since the epoch. */
  at: v.number(),
  /** The request that the caller saw. */
  requestId: v.string(),
  model: ModelName,
  version: ModelVersion,
  /** The catalog that decided. */
  catalog: v.number(),
  placement: v.picklist(["edge", "origin"]),
  /** What the model really saw, by unit: `tokens`, `bytes`, `elements`; `prompt_tokens` and `completion_tokens` of a text that goes on. */
  units: v.record(v.string(), v.number()),
};

/** How the model got ready for a request. */
const Start = v.picklist(["warm", "restored", "loaded"]);

/** One request that a version was chosen for, answered or not. */
export const RequestEvent = v.object({
  ...COMMON,
  kind: v.literal("request"),
  /** Absent when the model never got ready. */
  start: v.optional(Start),
  /** From input at hand to answer at hand; the upload is not in it. */
  milliseconds: Milliseconds,
  /** The model's flag, what it chose, and why: an exposure, in OpenFeature's words. */
  flag: v.optional(v.string()),
  variant: v.optional(v.string()),
  reason: v.string(),
  /** Why it ran where it did; absent for `default`. */
  placementReason: v.optional(v.string()),
  /** `ok`, or the code of the error. */
  outcome: v.string(),
  /** The error's HTTP status; 200 for `ok`. */
  status: v.number(),
  /** Whether it was answered; who pays for it, if anybody, is in `billing`. */
  billed: v.boolean(),
  billing: v.optional(Billing),
});
export type RequestEvent = v.InferOutput<typeof RequestEvent>;

/** One shadow of a request: another version that saw the same input after the answer. */
export const ShadowEvent = v.object({
  ...COMMON,
  kind: v.literal("shadow"),
  /** The version that answered the caller. */
  against: ModelVersion,
  /** Units of the version that answered, for the same input. */
  unitsAgainst: v.record(v.string(), v.number()),
  outcome: v.picklist(["compared", "failed", "skipped_busy", "skipped_memory"]),
  comparison: v.optional(ShadowComparison),
  /** SHA-256 of the request's body, in hex: the input itself is kept nowhere. */
  inputDigest: v.optional(v.string()),
  /** A shadow is never billed. */
  billed: v.literal(false),
});
export type ShadowEvent = v.InferOutput<typeof ShadowEvent>;

/** What the edge sends to the queue `usage`, after the answer. */
export const UsageEvent = v.variant("kind", [RequestEvent, ShadowEvent]);
export type UsageEvent = v.InferOutput<typeof UsageEvent>;

/** An event has a place among a hundred in 256 KB; 1,000 distances tell of a distribution what 100,000 do. */
const MAX_DISTANCES = 1_000;
/** The longest that a header may carry; a flag's provider may be another's. */
const MAX_LABEL_CHARACTERS = 256;

/** The event, small enough for the queue: the first distances, and the beginnings of what flags say. */
export function bounded(event: UsageEvent): UsageEvent {
  if (event.kind === "request") {
    const { flag, variant, reason } = event;
    const isSmall = [flag, variant, reason].every(
      (label = "") => label.length <= MAX_LABEL_CHARACTERS,
    );
    return isSmall
      ? event
      : {
          ...event,
          ...(flag !== undefined && { flag: cut(flag) }),
          ...(variant !== undefined && { variant: cut(variant) }),
          reason: cut(reason),
        };
  }
  const { comparison } = event;
  if (comparison === undefined || comparison.distances.length <= MAX_DISTANCES) return event;
  const distances = comparison.distances.slice(0, MAX_DISTANCES);
  return { ...event, comparison: { ...comparison, distances } };
}

const cut = (label: string): string => label.slice(0, MAX_LABEL_CHARACTERS);
