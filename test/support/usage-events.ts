import type { RequestEvent, ShadowEvent } from "../../src/billing/usage-event.ts";

let ids = 0;

/** An answered request of version 1 of "m", chosen by a flag. */
export function requestEvent(more: Partial<RequestEvent> = {}): RequestEvent {
  const id = `event-${ids++}`;
  return {
    schema: 1,
    kind: "request",
    id,
    at: 0,
    requestId: `of-${id}`,
    model: "m",
    version: 1,
    catalog: 1,
    placement: "edge",
    units: { elements: 2 },
    start: "warm",
    milliseconds: 1,
    flag: "m",
    variant: "current",
    reason: "TARGETING_MATCH",
    outcome: "ok",
    status: 200,
    billed: true,
    ...more,
  };
}

/** A shadow of version 2 behind an answer of version 1 of "m", in agreement. */
export function shadowEvent(more: Partial<ShadowEvent> = {}): ShadowEvent {
  const id = `event-${ids++}`;
  return {
    schema: 1,
    kind: "shadow",
    id,
    at: 0,
    requestId: `of-${id}`,
    model: "m",
    version: 2,
    against: 1,
    catalog: 1,
    placement: "edge",
    units: { elements: 2 },
    unitsAgainst: { elements: 2 },
    outcome: "compared",
    comparison: { kind: "classification", items: 1, flips: 0, distances: [0] },
    inputDigest: "0".repeat(64),
    billed: false,
    ...more,
  };
}
