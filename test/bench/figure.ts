/** One measured quantity, over several samples. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly n: number;
}

export function figureOf(samples: readonly number[]): Figure {
  if (samples.length === 0) throw new Error("Nothing was measured.");
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1
      ? (sorted[middle] ?? 0)
      : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
  return {
    median: short(median),
    min: short(sorted[0] ?? 0),
    max: short(sorted.at(-1) ?? 0),
    n: sorted.length,
  };
}

/** How many times `a` is `b`, by their medians. */
export function ratioOf(a: Figure, b: Figure): number {
  return short(a.median / b.median);
}

/** Three digits are more than a noisy machine knows; whole numbers stay whole. */
function short(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4));
}
