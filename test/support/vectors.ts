/** Numbers from 0 to below 1 that are the same each time. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Vectors of which those of one cluster are near to each other, as those of texts are. */
export function clustered(
  count: number,
  dimensions: number,
  { clusters = 200, spread = 0.7, random = seeded(1) } = {},
): Float32Array[] {
  const drawn = (): Float32Array =>
    Float32Array.from({ length: dimensions }, () => random() * 2 - 1);
  const centres = Array.from({ length: clusters }, drawn);
  return Array.from({ length: count }, (_, index) => {
    const centre = centres[index % clusters] ?? new Float32Array();
    return drawn().map((value, at) => value * spread + (centre[at] ?? 0));
  });
}

export interface Ranked {
  readonly row: number;
  readonly score: number;
}

/**
 * What a corpus of these vectors must find, by its own words: each row is the vector over its largest element,
 * times 127, rounded; its scale is 1 over the length of that, in float32; and the score is their product with
 * the query, in float64.
 */
export function bruteForce(
  vectors: readonly ArrayLike<number>[],
  query: ArrayLike<number>,
  top: number,
  holds: (row: number) => boolean = () => true,
): Ranked[] {
  const ranked: Ranked[] = [];
  for (const [row, vector] of vectors.entries()) {
    if (!holds(row)) continue;
    let [largest, squares, sum] = [0, 0, 0];
    for (let at = 0; at < vector.length; at++) {
      largest = Math.max(largest, Math.abs(vector[at] ?? 0));
    }
    for (let at = 0; at < vector.length; at++) {
      const rounded = Math.round(((vector[at] ?? 0) / largest) * 127);
      squares += rounded ** 2;
      sum += rounded * (query[at] ?? 0);
    }
    ranked.push({ row, score: sum * Math.fround(1 / Math.sqrt(squares)) });
  }
  return ranked.toSorted((a, b) => b.score - a.score || a.row - b.row).slice(0, top);
}
