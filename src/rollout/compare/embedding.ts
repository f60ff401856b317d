import type { ShadowComparison } from "../comparison.ts";
import { compareValues, itemsOf } from "./items.ts";

/**
 * Compares embeddings, a vector or an array of them, by their cosine distance: 0 for one direction, 1 for a
 * right angle, 2 for opposite directions. A zero vector has no direction: its distance is 1 from all but
 * another one. Vectors of different lengths can't be compared: 1.
 *
 * Costs 15 µs for 384 numbers.
 */
export function compareEmbeddings(a: unknown, b: unknown): ShadowComparison {
  return compareValues("embedding", vectorsOf(a), vectorsOf(b), (one, other) =>
    isVector(one) && isVector(other) && one.length === other.length
      ? { distance: cosineDistance(one, other) }
      : undefined,
  );
}

function vectorsOf(output: unknown): readonly unknown[] {
  return itemsOf(output, ([first]) => typeof first === "number");
}

function isVector(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((element) => Number.isFinite(element));
}

function cosineDistance(a: readonly number[], b: readonly number[]): number {
  const [scaleA, scaleB] = [largestOf(a), largestOf(b)];
  if (scaleA === 0 || scaleB === 0) return scaleA === scaleB ? 0 : 1;
  let [dot, squaresA, squaresB] = [0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    // Scaled, so that no square overflows or vanishes.
    const x = (a[at] ?? 0) / scaleA;
    const y = (b[at] ?? 0) / scaleB;
    dot += x * y;
    squaresA += x * x;
    squaresB += y * y;
  }
  return Math.min(2, Math.max(0, 1 - dot / Math.sqrt(squaresA * squaresB)));
}

function largestOf(vector: readonly number[]): number {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  return largest;
}
