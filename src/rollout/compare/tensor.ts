import { floatsOfBf16, isFloat, type Tensor } from "../../runtime/tensor.ts";
import type { ShadowComparison } from "../comparison.ts";
import { compareItems } from "./items.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

/**
 * An item for each output, in the order of their names: the largest difference of its elements. An output
 * that one side lacks or has in another shape or datatype has the distance 1, and so has one of strings
 * that differ.
 *
 * Costs 4 ns per element.
 */
export function compareTensors(a: Tensors, b: Tensors): ShadowComparison {
  const names = namesOf(a, b);
  return compareItems("tensor", names, names, (name) => {
    const [one, other] = [tensorOf(a, name), tensorOf(b, name)];
    return one && other && { distance: distanceOf(one, other) };
  });
}

/** The names that either side has, in order. */
export function namesOf(a: Tensors, b: Tensors): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted();
}

export function tensorOf(tensors: Tensors, name: string): Tensor | undefined {
  return Object.hasOwn(tensors, name) ? tensors[name] : undefined;
}

/** The elements of a float tensor; of BF16 a copy, else none. */
export function floatsOf(tensor: Tensor): Float16Array | Float32Array | Float64Array | undefined {
  if (!isFloat(tensor)) return undefined;
  if (tensor.datatype === "BF16") return floatsOfBf16(tensor.data);
  if (tensor.datatype !== "FP16") return tensor.data;
  const { buffer, byteOffset, length } = tensor.data;
  return new Float16Array(buffer, byteOffset, length);
}

/**
 * The largest difference of any two elements: absolute up to 1, beyond it as a share of the larger of the
 * two, so that neither side counts as the truth. At most 2. A NaN or an infinity equals itself, and has
 * the distance 1 from everything else.
 */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return 1;
  let largest = 0;
  for (let at = 0; at < a.length; at++) {
    const x = a[at] ?? 0;
    const y = b[at] ?? 0;
    if (x !== y) largest = Math.max(largest, differenceOf(x, y));
  }
  return largest;
}

function differenceOf(x: number, y: number): number {
  if (Number.isNaN(x) && Number.isNaN(y)) return 0;
  if (!Number.isFinite(x) || !Number.isFinite(y)) return 1;
  const scale = Math.max(1, Math.abs(x), Math.abs(y));
  // Divided first: the difference of two huge numbers may be none.
  return Math.abs(x / scale - y / scale);
}

function distanceOf(a: Tensor, b: Tensor): number {
  if (a.datatype !== b.datatype || a.shape.join() !== b.shape.join()) return 1;
  if (a.data.length !== b.data.length) return 1;
  switch (a.datatype) {
    case "BYTES":
      return a.data.every((text, index) => text === b.data[index]) ? 0 : 1;
    case "INT64":
    case "UINT64":
      return largestIntegerDifference(a.data, b.data as typeof a.data);
    case "FP16":
    case "BF16":
    case "FP32":
    case "FP64":
      return largestDifference(floatsOf(a) ?? [], floatsOf(b) ?? []);
    default:
      return largestDifference(a.data, b.data as typeof a.data);
  }
}

function largestIntegerDifference(a: ArrayLike<bigint>, b: ArrayLike<bigint>): number {
  let largest = 0;
  for (let at = 0; at < a.length; at++) {
    const x = a[at] ?? 0n;
    const y = b[at] ?? 0n;
    if (x === y) continue;
    // Subtracted first: as doubles, neighbours beyond 2^53 are the same.
    const scale = Math.max(1, Math.abs(Number(x)), Math.abs(Number(y)));
    largest = Math.max(largest, Math.abs(Number(x - y)) / scale);
  }
  return largest;
}
