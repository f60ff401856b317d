import type { NearsideError } from "../../src/client/index.ts";

/** Assertions without a test runner, because the suite runs in a browser, too. */
export function same(actual: unknown, expected: unknown): void {
  const [seen, wanted] = [textOf(actual), textOf(expected)];
  if (seen !== wanted) throw new Error(`expected ${wanted}, got ${seen}`);
}

export function holds(condition: boolean, words: string): asserts condition {
  if (!condition) throw new Error(words);
}

export function near(actual: number, expected: number, tolerance: number): void {
  const isNear = Math.abs(actual - expected) <= tolerance;
  holds(isNear, `expected ${expected} ± ${tolerance}, got ${actual}`);
}

/** The error of a call that must fail. */
export async function failure(work: PromiseLike<unknown>): Promise<NearsideError> {
  try {
    await work;
  } catch (error) {
    return error as NearsideError;
  }
  throw new Error("expected a failure");
}

/** Exact, and the same for equal values: typed arrays by their elements, bigints by their digits. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === "bigint") return `${part}n`;
    if (part === undefined) return "undefined";
    if (ArrayBuffer.isView(part)) return Array.from(part as Uint8Array);
    return isPlain(part) ? Object.fromEntries(Object.entries(part).toSorted(byName)) : part;
  });
}

const byName = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
