/** A histogram with buckets of equal ratio, as plain JSON: two add up bucket by bucket. */
export interface HistogramData {
  count: number;
  sum: number;
  /** Values that are 0 or too small for a bucket. */
  zeros: number;
  /** Count by number of the bucket. */
  buckets: Record<string, number>;
}
