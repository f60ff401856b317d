import type { EdgeCosts, Manifest } from "../catalog/manifest.ts";
import type { ErrorCode } from "../errors.ts";

export const PLACEMENTS = ["edge", "origin"] as const;

/** Where a request runs: in this isolate, or in the origin pool. */
export type Placement = (typeof PLACEMENTS)[number];

/** Why it runs there. */
export type PlacementReason =
  /** The caller's header says so. */
  | "header"
  /** The flag's variant says so. */
  | "flag"
  | "no_edge_build"
  /** The model never fits an isolate. */
  | "too_large"
  /** The isolate is full of models in use. */
  | "no_room"
  /** The input is more than the edge takes. */
  | "over_limit"
  /** It would take longer than the model's target. */
  | "slow"
  /** The model could not be loaded here lately, or has crashed. */
  | "edge_failed"
  /** The pool should have answered, and could not. */
  | "origin_failed"
  | "default";

export interface Placed {
  readonly placement: Placement;
  readonly reason: PlacementReason;
}

/** What is known before the input is read. */
export interface Wishes {
  /** Whether the model has a pool to go to. */
  readonly hasRoute: boolean;
  readonly header: Placement | undefined;
  readonly flag: Placement | undefined;
  readonly hasEdgeBuild: boolean;
  /** Whether an isolate can hold the model at all. */
  readonly fits: boolean;
}

/** What the input and this isolate say. */
export interface EdgeState {
  readonly overLimit: boolean;
  /** Whether loading has failed so lately that it would not be tried. */
  readonly isFailing: boolean;
  /** Whether the model is here, or what is idle can make room for it. */
  readonly hasRoom: boolean;
  /** Undefined for a model whose costs are not known. */
  readonly predictedMs: number | undefined;
  readonly targetMs: number | undefined;
}

/**
 * Where a request runs whatever its input is: undefined when the input decides. Without a pool the edge
 * answers, or refuses.
 */
export function placeUnread(wishes: Wishes): Placed | undefined {
  const { header, flag } = wishes;
  if (!wishes.hasRoute) return at("edge", header === "edge" ? "header" : edgeReason(flag));
  if (header !== undefined) return at(header, "header");
  if (!wishes.hasEdgeBuild) return at("origin", "no_edge_build");
  if (!wishes.fits) return at("origin", "too_large");
  return flag === "origin" ? at("origin", "flag") : undefined;
}

/** Where a request runs, and why. */
export function place(wishes: Wishes, state: EdgeState): Placed {
  const unread = placeUnread(wishes);
  if (unread !== undefined) return unread;
  if (state.overLimit) return at("origin", "over_limit");
  if (state.isFailing) return at("origin", "edge_failed");
  // The flag's wish is worth waiting for, but not worth failing for.
  if (wishes.flag === "edge") return at("edge", "flag");
  if (!state.hasRoom) return at("origin", "no_room");
  return isSlow(state) ? at("origin", "slow") : at("edge", "default");
}

function isSlow({ predictedMs: predicted, targetMs }: EdgeState): boolean {
  return predicted !== undefined && targetMs !== undefined && predicted > targetMs;
}

/** What an input of so many units takes at the edge. */
export function predictedMs(
  { msPerRequest, msPerUnit = {} }: EdgeCosts,
  units: Readonly<Record<string, number>>,
): number {
  return Object.entries(msPerUnit).reduce(
    (sum, [unit, milliseconds]) => sum + milliseconds * (units[unit] ?? 0),
    msPerRequest,
  );
}

export function edgeCosts({ edge }: Manifest): EdgeCosts | undefined {
  return edge === false ? undefined : edge;
}

const TO_THE_ORIGIN: { readonly [C in ErrorCode]?: PlacementReason } = {
  batch_too_large: "over_limit",
  input_too_long: "over_limit",
  model_too_large: "too_large",
  isolate_over_budget: "no_room",
  out_of_memory: "no_room",
  model_unavailable: "edge_failed",
  model_damaged: "edge_failed",
  model_load_failed: "edge_failed",
  instance_trapped: "edge_failed",
};

/** Whether the edge takes the request to be more than it does. */
export function isOverLimit(code: ErrorCode): boolean {
  return TO_THE_ORIGIN[code] === "over_limit";
}

/** Where a request goes on that failed at the edge; undefined when its caller shall know. */
export function afterEdgeFailure(
  placed: Placed,
  code: ErrorCode,
  { hasRoute }: Pick<Wishes, "hasRoute">,
): Placed | undefined {
  const reason = TO_THE_ORIGIN[code];
  // The caller's own word is kept.
  if (reason === undefined || !hasRoute || placed.reason === "header") return undefined;
  // The edge has its turn once.
  return placed.reason === "origin_failed" ? undefined : at("origin", reason);
}

/** Not what it says of the request, and nothing when its time is over or its caller gone. */
const POOLS_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "origin_unavailable",
  "origin_overloaded",
  "origin_timeout",
  "origin_failed",
]);

const EDGE_WOULD_DO: ReadonlySet<PlacementReason> = new Set(["slow", "flag", "no_room"]);

/** The same for a request that failed at the origin before any of its answer was there. */
export function afterOriginFailure(placed: Placed, code: ErrorCode): Placed | undefined {
  return POOLS_FAULTS.has(code) && EDGE_WOULD_DO.has(placed.reason)
    ? at("edge", "origin_failed")
    : undefined;
}

function edgeReason(flag: Placement | undefined): PlacementReason {
  return flag === "edge" ? "flag" : "default";
}

function at(placement: Placement, reason: PlacementReason): Placed {
  return { placement, reason };
}
