import type { Comparison, Quantization, Thresholds } from "../../catalog/manifest.ts";
import { isFloat, numbersOf } from "../../runtime/tensor.ts";
import type { Tensor } from "../../runtime/tensor.ts";

type Outputs = Readonly<Record<string, Tensor>>;

/** What holds when model.json says nothing. Unquantized, the two runtimes round differently and no more. */
const DEFAULTS: { readonly [Q in Quantization]: Thresholds } = {
  none: { largestDifference: 1e-3, equality: 1 },
  int8: { cosine: 0.985, equality: 0.99 },
};

export function thresholdsFor(
  quantization: Quantization,
  said: Thresholds | undefined,
): Thresholds {
  return { ...DEFAULTS[quantization], ...said };
}

export const IDENTICAL: Comparison = {
  cosine: 1,
  largestDifference: 0,
  classAgreement: 1,
  equality: 1,
};

/** Compares the outputs of one run; a NaN equals a NaN and nothing else. */
export function compareOutputs(seen: Outputs, expected: Outputs): Comparison {
  let result = IDENTICAL;
  for (const [name, tensor] of Object.entries(expected)) {
    const answer = seen[name];
    const isSameShape =
      answer?.datatype === tensor.datatype && answer.shape.join() === tensor.shape.join();
    result = worseOf(
      result,
      answer !== undefined && isSameShape
        ? compareTensors(answer, tensor)
        : { cosine: -1, largestDifference: Number.MAX_VALUE, classAgreement: 0, equality: 0 },
    );
  }
  return result;
}

/** The worse of two comparisons in each of the three. */
export function worseOf(a: Comparison, b: Comparison): Comparison {
  return {
    cosine: Math.min(a.cosine, b.cosine),
    largestDifference: Math.max(a.largestDifference, b.largestDifference),
    classAgreement: Math.min(a.classAgreement, b.classAgreement),
    equality: Math.min(a.equality, b.equality),
  };
}

/** A sentence for each threshold that does not hold. */
export function failuresOf(comparison: Comparison, thresholds: Thresholds): string[] {
  const failures: string[] = [];
  const { cosine, largestDifference, classAgreement } = thresholds;
  if (cosine !== undefined && !(comparison.cosine >= cosine)) {
    failures.push(
      `cosine ${short(comparison.cosine)} is under ${cosine}, by ${short(cosine - comparison.cosine)}`,
    );
  }
  if (largestDifference !== undefined && !(comparison.largestDifference <= largestDifference)) {
    failures.push(
      `the largest difference ${short(comparison.largestDifference)} is over ${largestDifference}, by ${short(comparison.largestDifference - largestDifference)}`,
    );
  }
  if (classAgreement !== undefined && !(comparison.classAgreement >= classAgreement)) {
    failures.push(
      `class agreement ${short(comparison.classAgreement)} is under ${classAgreement}, by ${short(classAgreement - comparison.classAgreement)}`,
    );
  }
  const { equality } = thresholds;
  if (equality !== undefined && !(comparison.equality >= equality)) {
    failures.push(
      `equality ${short(comparison.equality)} is under ${equality}, by ${short(equality - comparison.equality)}`,
    );
  }
  return failures;
}

function compareTensors(seen: Tensor, expected: Tensor): Comparison {
  if (!isFloat(expected)) {
    const [a, b] = [seen.data, expected.data] as readonly ArrayLike<unknown>[];
    let equal = 0;
    for (let at = 0; at < (b?.length ?? 0); at++) if (a?.[at] === b?.[at]) equal++;
    const count = b?.length ?? 0;
    return { ...IDENTICAL, equality: count === 0 ? 1 : equal / count };
  }
  const [a, b] = [numbersOf(seen), numbersOf(expected)];
  // A row is what one input of a batch gives; without a batch, all.
  const rows = expected.shape.length > 1 ? (expected.shape[0] ?? 1) : 1;
  const rowLength = rows === 0 ? 0 : b.length / rows;
  const classes = expected.shape.at(-1) ?? 1;
  let largest = 0;
  for (const value of b) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  let cosine = 1;
  for (let row = 0; row < rows; row++) {
    const [start, end] = [row * rowLength, (row + 1) * rowLength];
    cosine = Math.min(
      cosine,
      cosineOf(a.subarray(start, end), b.subarray(start, end), NOISE * largest),
    );
  }
  return {
    cosine,
    largestDifference: largestDifferenceOf(a, b),
    classAgreement: classes > 1 ? agreementOf(a, b, classes) : 1,
    equality: 1,
  };
}

/** Float32 rounds this coarsely, as a share of the tensor's largest element. */
const NOISE = 1e-6;

function cosineOf(a: Float64Array, b: Float64Array, noise: number): number {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (const [at, x] of a.entries()) {
    const y = b[at] ?? Number.NaN;
    if (Object.is(x, y) && !Number.isFinite(x)) continue;
    // Elements that are nearly zero beside the tensor's largest have a sign by chance.
    const same = Math.abs(x - y) <= noise ? y : x;
    dot += same * y;
    squaresA += same * same;
    squaresB += y * y;
  }
  if (squaresA === 0 && squaresB === 0) return 1;
  const cosine = dot / Math.sqrt(squaresA * squaresB);
  return Number.isFinite(cosine) ? cosine : -1;
}

function largestDifferenceOf(a: Float64Array, b: Float64Array): number {
  let largest = 0;
  for (const [at, x] of a.entries()) {
    const y = b[at] ?? Number.NaN;
    const difference = Object.is(x, y) ? 0 : Math.abs(x - y) / Math.max(1, Math.abs(y));
    largest = Math.max(largest, Number.isFinite(difference) ? difference : Number.MAX_VALUE);
  }
  return largest;
}

/** Share of rows of the last axis whose largest element stands in the same place. */
function agreementOf(a: Float64Array, b: Float64Array, classes: number): number {
  const rows = a.length / classes;
  let same = 0;
  for (let row = 0; row < rows; row++) {
    if (indexOfLargest(a, row * classes, classes) === indexOfLargest(b, row * classes, classes)) {
      same++;
    }
  }
  return rows === 0 ? 1 : same / rows;
}

function indexOfLargest(values: Float64Array, start: number, count: number): number {
  let best = 0;
  for (let at = 1; at < count; at++) {
    if ((values[start + at] ?? 0) > (values[start + best] ?? 0)) best = at;
  }
  return best;
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
