import type { ShadowComparison } from "../comparison.ts";
import {
  compareItems,
  compareValues,
  type Difference,
  isObject,
  itemsOf,
  MAX_ITEMS,
} from "./items.ts";
import { floatsOf, largestDifference, namesOf, tensorOf, type Tensors } from "./tensor.ts";

/** Scores by label, best first. */
type Scores = ReadonlyMap<string | number, number>;

/** How far the sum of probabilities may be from 1: halves of float16 add up to no more. */
const SUM_TOLERANCE = 0.01;

/**
 * Compares what a classification answers: `[{label, score}]` for one input, an array of those for several,
 * or the class of each row as a number. A row flips when its first label is another one. Its distance is
 * the total variation of the two distributions.
 *
 * A list that `top_k` cut leaves open how the rest is spread. The distance is then the least that any
 * spread allows: a lower bound of the true one, and little for other labels that the rest has room for.
 *
 * Costs 0.2 µs per label of a row.
 */
export function compareClassifications(a: unknown, b: unknown): ShadowComparison {
  return compareValues("classification", rowsOf(a), rowsOf(b), (one, other) => {
    const [scores, otherScores] = [scoresOf(one), scoresOf(other)];
    return scores && otherScores && compareScores(scores, otherScores);
  });
}

/**
 * Compares the rows of the first float output, by name, whose last dimension is the number of labels. A row
 * flips when its largest element stands elsewhere. Its distance is the total variation where both sides
 * are probabilities, else (logits) the largest difference of its elements.
 *
 * Costs 25 ns per element.
 *
 * @returns undefined when neither side has such an output
 */
export function compareLabelTensors(
  a: Tensors,
  b: Tensors,
  labels: number,
): ShadowComparison | undefined {
  for (const name of namesOf(a, b)) {
    const [rows, otherRows] = [labelRows(a, name, labels), labelRows(b, name, labels)];
    if (rows === undefined && otherRows === undefined) continue;
    return compareItems("classification", rows ?? [], otherRows ?? [], compareRows);
  }
  return undefined;
}

function rowsOf(output: unknown): readonly unknown[] {
  return itemsOf(output, ([first]) => isObject(first));
}

function scoresOf(row: unknown): Scores | undefined {
  if (typeof row === "number") return new Map([[row, 1]]);
  if (!Array.isArray(row) || row.length === 0) return undefined;
  const scores = new Map<string, number>();
  for (const entry of row as readonly unknown[]) {
    if (!isObject(entry)) return undefined;
    const { label, score } = entry;
    if (typeof label !== "string" || typeof score !== "number" || !Number.isFinite(score)) {
      return undefined;
    }
    if (!scores.has(label)) scores.set(label, score);
  }
  return scores;
}

function compareScores(a: Scores, b: Scores): Difference {
  let [sum, otherSum, shared, otherShared, differences] = [0, 0, 0, 0, 0];
  for (const [label, score] of a) {
    sum += score;
    const other = b.get(label);
    if (other === undefined) continue;
    shared += score;
    otherShared += other;
    differences += Math.abs(score - other);
  }
  for (const score of b.values()) otherSum += score;
  const [firstLabel] = a.keys();
  const [otherFirstLabel] = b.keys();
  const unlisted = { listed: sum - shared, open: Math.max(0, 1 - sum) };
  const otherUnlisted = { listed: otherSum - otherShared, open: Math.max(0, 1 - otherSum) };
  const distance = differences / 2 + leastVariation(unlisted, otherUnlisted);
  return {
    distance: Number.isFinite(distance) ? Math.min(1, Math.max(0, distance)) : 1,
    flip: firstLabel !== otherFirstLabel,
  };
}

/** What a list holds beside the labels that both have. */
interface Rest {
  /** Sum of the labels that only this list has. */
  readonly listed: number;
  /** What the list leaves out. */
  readonly open: number;
}

/** Each side's open part covers as much as it can of what only the other lists, then the open parts cover each other. */
function leastVariation(a: Rest, b: Rest): number {
  const coversB = Math.min(a.open, b.listed);
  const coversA = Math.min(b.open, a.listed);
  const overlap = coversA + coversB + Math.min(a.open - coversB, b.open - coversA);
  return (a.listed + a.open + b.listed + b.open) / 2 - overlap;
}

type Row = Float16Array | Float32Array | Float64Array;

function labelRows(tensors: Tensors, name: string, labels: number): Row[] | undefined {
  const tensor = tensorOf(tensors, name);
  if (tensor === undefined || tensor.shape.at(-1) !== labels) return undefined;
  const values = floatsOf(tensor);
  if (values === undefined) return undefined;
  const rows = Math.min(MAX_ITEMS, Math.floor(values.length / labels));
  return Array.from({ length: rows }, (_, row) =>
    values.subarray(row * labels, (row + 1) * labels),
  );
}

function compareRows(a: Row, b: Row): Difference {
  return {
    distance:
      isDistribution(a) && isDistribution(b) ? totalVariation(a, b) : largestDifference(a, b),
    flip: indexOfLargest(a) !== indexOfLargest(b),
  };
}

function isDistribution(row: Row): boolean {
  let sum = 0;
  for (const value of row) {
    if (!(value >= 0)) return false;
    sum += value;
  }
  return Math.abs(sum - 1) <= SUM_TOLERANCE;
}

function totalVariation(a: Row, b: Row): number {
  let sum = 0;
  for (const [index, value] of a.entries()) sum += Math.abs(value - (b[index] ?? 0));
  return Math.min(1, sum / 2);
}

/** -1 for a row without a number in it. */
function indexOfLargest(row: Row): number {
  let best = -1;
  let largest = Number.NEGATIVE_INFINITY;
  for (const [index, value] of row.entries()) {
    if (value > largest) [best, largest] = [index, value];
  }
  return best;
}
