/** A histogram with buckets of equal ratio, as plain JSON: two add up bucket by bucket. */
export interface HistogramData {
  count: number;
  sum: number;
  /** Values that are 0 or too small for a bucket. */
  zeros: number;
  /** Count by number of the bucket. */
  buckets: Record<string, number>;
}

/** A quantile is off by at most this part of itself: DDSketch, Masson et al. 2019, https://arxiv.org/abs/1908.10693. */
export const RELATIVE_ERROR = 0.05;
const GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
const LOG_GAMMA = Math.log(GAMMA);

/** With these ends there are at most 347 buckets, however many values: distances below, times above. */
const SMALLEST = 1e-6;
const LARGEST = 1e9;
const OFFSET = -Math.ceil(Math.log(SMALLEST) / LOG_GAMMA);

export function emptyHistogram(): HistogramData {
  return { count: 0, sum: 0, zeros: 0, buckets: {} };
}

/** Adds a value to `histogram` in place. What is above 1e9 counts as 1e9, what is below 1e-6 as 0. */
export function addValue(histogram: HistogramData, value: number): void {
  const clamped = Math.min(value, LARGEST);
  histogram.count++;
  if (clamped < SMALLEST) {
    histogram.zeros++;
    return;
  }
  histogram.sum += clamped;
  const bucket = bucketOf(clamped);
  histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + 1;
}

/** The histogram of all values of all; none of them is changed. Of a single one it is that one itself. */
export function mergeHistograms(...histograms: readonly HistogramData[]): HistogramData {
  const [first] = histograms;
  if (first !== undefined && histograms.length === 1) return first;
  const all = emptyHistogram();
  for (const { count, sum, zeros, buckets } of histograms) {
    all.count += count;
    all.sum += sum;
    all.zeros += zeros;
    for (const bucket in buckets) {
      all.buckets[bucket] = (all.buckets[bucket] ?? 0) + (buckets[bucket] ?? 0);
    }
  }
  return all;
}

/**
 * The value that a part `q` of all values is not above, within `RELATIVE_ERROR` of one that was added.
 *
 * @param q 0 to 1
 * @returns undefined when the histogram is empty
 */
export function quantile(histogram: HistogramData, q: number): number | undefined {
  if (histogram.count === 0) return undefined;
  const rank = q * (histogram.count - 1);
  let seen = histogram.zeros;
  if (seen > rank) return 0;
  let last = "0";
  for (const bucket in histogram.buckets) {
    last = bucket;
    seen += histogram.buckets[bucket] ?? 0;
    if (seen > rank) break;
  }
  return valueOf(Number(last));
}

/**
 * How many values are above `threshold`, as far as buckets tell: those in the threshold's own bucket don't
 * count, so the threshold is rounded up by a ratio of at most 1.106. Two histograms that are asked with the
 * same threshold are rounded the same way, which is what makes their counts comparable.
 */
export function countAbove(histogram: HistogramData, threshold: number): number {
  if (threshold < SMALLEST) return histogram.count - histogram.zeros;
  const limit = bucketOf(Math.min(threshold, LARGEST));
  let above = 0;
  for (const bucket in histogram.buckets) {
    if (Number(bucket) > limit) above += histogram.buckets[bucket] ?? 0;
  }
  return above;
}

/**
 * Bucket i holds what is above GAMMA^(i-1-OFFSET) and not above GAMMA^(i-OFFSET). Numbered from 0 up, because
 * JavaScript keeps such keys in rising order.
 */
function bucketOf(value: number): number {
  return Math.ceil(Math.log(value) / LOG_GAMMA) + OFFSET;
}

/** As far from the bucket's lower end as from its upper one, in parts of themselves. */
function valueOf(bucket: number): number {
  return (2 * GAMMA ** (bucket - OFFSET)) / (GAMMA + 1);
}
