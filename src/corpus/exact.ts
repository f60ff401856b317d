/** One row that was found. */
export interface Hit {
  readonly row: number;
  /** The cosine, in float64. */
  readonly score: number;
}

/** The best rows so far, best first; of equal ones the first row. Rows are to be offered in rising order. */
export class TopRows {
  readonly hits: Hit[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What a row must exceed to come in. */
  get bar(): number {
    const last = this.hits[this.#limit - 1];
    return last === undefined ? Number.NEGATIVE_INFINITY : last.score;
  }

  offer(row: number, score: number): void {
    const { hits } = this;
    if (hits.length === this.#limit && score <= this.bar) return;
    let place = hits.length;
    while (place > 0 && (hits[place - 1]?.score ?? 0) < score) place--;
    hits.splice(place, 0, { row, score });
    if (hits.length > this.#limit) hits.pop();
  }
}

/** A query as the scan takes it, and how far the scan's scores may be off. */
export interface ScanQuery {
  readonly floats: Float64Array;
  readonly integers: Int16Array;
  /** One step of the integers. */
  readonly step: number;
  /** No score of the scan, times `step`, is further from the row's cosine than this. */
  readonly error: number;
}

const MAX_INT32 = 2_147_483_647;
const MAX_INT16 = 32_767;
const MAX_INT8 = 127;

/** Float32 rounds twice on the way to a score and once to a threshold, and a scale is rounded once: 2^-24 each. */
const FLOAT32_ERROR = 2 ** -20;

/**
 * Rounds a query to 16 bits (fewer beyond 516 dimensions), so that no sum of products leaves 32 bits.
 *
 * With e = query - step · integers, a row's cosine differs from the scan's by scale · (row · e), which is at
 * most |scale · row| |e| by Cauchy and Schwarz, and |scale · row| is 1: the same bound for every row.
 */
export function scanQuery(query: Float32Array, rowBytes: number): ScanQuery {
  const steps = Math.min(MAX_INT16, Math.floor(MAX_INT32 / (MAX_INT8 * rowBytes)));
  const floats = Float64Array.from(query);
  const largest = floats.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const step = largest === 0 ? 1 : largest / steps;
  const integers = new Int16Array(rowBytes);
  let [squares, lost] = [0, 0];
  for (const [at, value] of floats.entries()) {
    const rounded = Math.max(-steps, Math.min(steps, Math.round(value / step)));
    integers[at] = rounded;
    squares += rounded ** 2;
    lost += (value / step - rounded) ** 2;
  }
  const error = step * (Math.sqrt(lost) * (1 + FLOAT32_ERROR) + Math.sqrt(squares) * FLOAT32_ERROR);
  return { floats, integers, step, error };
}

/** scale · (row · query), summed in the order of the dimensions, in float64. */
export function exactScore(
  vectors: Int8Array,
  from: number,
  query: Float64Array,
  scale: number,
): number {
  let sum = 0;
  for (let at = 0; at < query.length; at++) sum += (vectors[from + at] ?? 0) * (query[at] ?? 0);
  return sum * scale;
}
