import type { Comparison, Quantization, Thresholds } from "../../catalog/manifest.ts";
import { isFloat, numbersOf } from "../../runtime/tensor.ts";
import type { Tensor } from "../../runtime/tensor.ts";

type Outputs = Readonly<Record<string, Tensor>>;

/** What holds when model.json says nothing. Unquantized, the two runtimes round differently and no more. */
const DEFAULTS: { readonly [Q in Quantization]: Thresholds } = {
  none: { largestDifference: 1e-3 },
  int8: { cosine: 0.985 },
};

export function thresholdsFor(
  quantization: Quantization,
  said: Thresholds | undefined,
): Thresholds {
  return said ?? DEFAULTS[quantization];
}

/** Compares the outputs of one run; a NaN equals a NaN and nothing else. */
export function compareOutputs(seen: Outputs, expected: Outputs): Comparison {
  let result: Comparison = { cosine: 1, largestDifference: 0, classAgreement: 1 };
  for (const [name, tensor] of Object.entries(expected)) {
    const answer = seen[name];
    const isSameShape =
      answer?.datatype === tensor.datatype && answer.shape.join() === tensor.shape.join();
    result = worseOf(
      result,
      answer !== undefined && isSameShape
        ? compareTensors(answer, tensor)
        : { cosine: -1, largestDifference: Number.MAX_VALUE, classAgreement: 0 },
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
  return failures;
}

function compareTensors(seen: Tensor, expected: Tensor): Comparison {
  if (!isFloat(expected)) {
    const [a, b] = [seen.data, expected.data] as readonly ArrayLike<unknown>[];
    let equal = 0;
    for (let at = 0; at < (b?.length ?? 0); at++) if (a?.[at] === b?.[at]) equal++;
    const count = b?.length ?? 0;
    return { cosine: 1, largestDifference: 0, classAgreement: count === 0 ? 1 : equal / count };
  }
  const [a, b] = [numbersOf(seen), numbersOf(expected)];
  // A row is what one input of a batch gives; without a batch, all.
  const rows = expected.shape.length > 1 ? (expected.shape[0] ?? 1) : 1;
  const rowLength = rows === 0 ? 0 : b.length / rows;
  const classes = expected.shape.at(-1) ?? 1;
  let cosine = 1;
  for (let row = 0; row < rows; row++) {
    const [start, end] = [row * rowLength, (row + 1) * rowLength];
    cosine = Math.min(cosine, cosineOf(a.subarray(start, end), b.subarray(start, end)));
  }
  return {
    cosine,
    largestDifference: largestDifferenceOf(a, b),
    classAgreement: classes > 1 ? agreementOf(a, b, classes) : 1,
  };
}

/** Float32 rounds as coarsely in values around 1. */
const NOISE = 1e-6;

function cosineOf(a: Float64Array, b: Float64Array): number {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (const [at, x] of a.entries()) {
    const y = b[at] ?? Number.NaN;
    if (Object.is(x, y) && !Number.isFinite(x)) continue;
    // Where all is nearly zero the direction is noise, and nobody's business.
    const same = Math.abs(x - y) <= NOISE ? y : x;
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
