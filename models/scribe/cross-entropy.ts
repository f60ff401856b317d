import type { Vector } from "./algebra.ts";

/**
 * Mean of −log p(target) over the rows of `logits`, in nats. Its derivatives take the logits' place.
 */
export function crossEntropy(
  logits: Vector,
  targets: ArrayLike<number>,
  vocabulary: number,
): number {
  const rows = logits.length / vocabulary;
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const start = row * vocabulary;
    const end = start + vocabulary;
    const target = start + targets[row]!;
    let highest = -Infinity;
    for (let index = start; index < end; index++) highest = Math.max(highest, logits[index]!);
    loss += highest - logits[target]!;
    let total = 0;
    for (let index = start; index < end; index++) {
      const share = Math.exp(logits[index]! - highest);
      logits[index] = share;
      total += share;
    }
    loss += Math.log(total);
    for (let index = start; index < end; index++) logits[index]! /= total * rows;
    logits[target]! -= 1 / rows;
  }
  return loss / rows;
}
