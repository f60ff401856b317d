import type { ComparisonKind, ShadowComparison } from "../comparison.ts";

/** Items of one request that are compared, the first ones: an event must stay small. */
export const MAX_ITEMS = 64;

/** No output of a task is nested as deep; what is deeper is another one. */
const MAX_DEPTH = 16;

/** Between two items: 0 for equal ones. */
export interface Difference {
  readonly distance: number;
  /** Whether the first label is another one. */
  readonly flip?: boolean;
}

/**
 * Compares two lists, item by item. What one of them lacks, and what can't be read, has the distance 1,
 * and is a flip where there are labels.
 *
 * @param measure undefined for items that it can't read
 */
export function compareItems<T>(
  kind: ComparisonKind,
  a: readonly T[],
  b: readonly T[],
  measure: (a: T, b: T) => Difference | undefined,
): ShadowComparison {
  const items = Math.min(MAX_ITEMS, Math.max(a.length, b.length));
  const distances: number[] = [];
  let flips = 0;
  for (let at = 0; at < items; at++) {
    const [one, other] = [a[at], b[at]];
    const measured = one === undefined || other === undefined ? undefined : measure(one, other);
    const { distance, flip = false } = measured ?? { distance: 1, flip: kind === "classification" };
    distances.push(distance);
    if (flip) flips++;
  }
  return { kind, items, flips, distances };
}

/** As `compareItems`, for JSON values: equal ones need not be readable to have the distance 0. */
export function compareValues(
  kind: ComparisonKind,
  a: readonly unknown[],
  b: readonly unknown[],
  measure: (a: unknown, b: unknown) => Difference | undefined,
): ShadowComparison {
  return compareItems(kind, a, b, (one, other) =>
    isSame(one, other) ? { distance: 0 } : measure(one, other),
  );
}

/** The items of an output that is either a list of them or a single one. */
export function itemsOf(
  output: unknown,
  isSingle: (list: readonly unknown[]) => boolean,
): readonly unknown[] {
  return Array.isArray(output) && !isSingle(output) ? output : [output];
}

/**
 * What each item may have of a limit whose square is the cost: 1/√n, so that n items cost no more than one.
 */
export function shareOf(limit: number, a: readonly unknown[], b: readonly unknown[]): number {
  const items = Math.min(MAX_ITEMS, Math.max(a.length, b.length, 1));
  return Math.floor(limit / Math.sqrt(items));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSame(a: unknown, b: unknown, depth = 0): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (depth === MAX_DEPTH) return false;
  if (Array.isArray(a)) {
    return (
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => isSame(item, b[index], depth + 1))
    );
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key], depth + 1))
  );
}
