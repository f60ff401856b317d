import type { ShadowComparison } from "../comparison.ts";

/** One version refuses an input, or can't compute it, that the other answers; or both refuse it. */
export function compareRefusals(areBoth: boolean): ShadowComparison {
  const distance = areBoth ? 0 : 1;
  return { kind: "refusal", items: 1, flips: distance, distances: [distance] };
}
