import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  addValue,
  countAbove,
  emptyHistogram,
  type HistogramData,
  mergeHistograms,
  quantile,
  RELATIVE_ERROR,
} from "../../src/rollout/histogram.ts";

function histogramOf(values: readonly number[]): HistogramData {
  const histogram = emptyHistogram();
  for (const value of values) addValue(histogram, value);
  return histogram;
}

const value = fc.oneof(
  fc.constant(0),
  fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
  fc.double({ min: 0.1, max: 10_000, noNaN: true }),
);
const values = fc.array(value, { maxLength: 200 });

describe("a histogram", () => {
  it("has no quantile while it is empty", () => {
    expect(quantile(emptyHistogram(), 0.5)).toBeUndefined();
    expect(countAbove(emptyHistogram(), 1)).toBe(0);
  });

  it.each([
    { q: 0, expected: 1 },
    { q: 0.5, expected: 500 },
    { q: 0.95, expected: 950 },
    { q: 1, expected: 1_000 },
  ])("of 1 to 1,000 has $expected as its quantile $q, within 5 %", ({ q, expected }) => {
    const found = quantile(histogramOf(Array.from({ length: 1_000 }, (_, at) => at + 1)), q) ?? 0;
    expect(Math.abs(found / expected - 1)).toBeLessThanOrEqual(RELATIVE_ERROR + 1e-9);
  });

  it("says any quantile within 5 % of a value that was added", () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (added, q) => {
        fc.pre(added.length > 0);
        const exact = added.sort((a, b) => a - b)[Math.floor(q * (added.length - 1))] ?? 0;
        const found = quantile(histogramOf(added), q) ?? -1;
        expect(Math.abs(found - exact)).toBeLessThanOrEqual(exact * (RELATIVE_ERROR + 1e-9));
      }),
    );
  });

  it("merged with another is the histogram of all values, and both stay as they are", () => {
    fc.assert(
      fc.property(values, values, (some, others) => {
        const [a, b] = [histogramOf(some), histogramOf(others)];
        const { sum, ...counts } = mergeHistograms(a, b);
        const { sum: expectedSum, ...expected } = histogramOf([...some, ...others]);
        expect(counts).toEqual(expected);
        expect(Math.abs(sum - expectedSum)).toBeLessThanOrEqual(expectedSum * 1e-9);
        expect([a, b]).toEqual([histogramOf(some), histogramOf(others)]);
      }),
    );
  });

  it("survives JSON", () => {
    fc.assert(
      fc.property(values, (added) => {
        const histogram = histogramOf(added);
        const stored = JSON.parse(JSON.stringify(histogram)) as HistogramData;
        expect(stored).toEqual(histogram);
        expect(quantile(stored, 0.9)).toBe(quantile(histogram, 0.9));
      }),
    );
  });

  it("counts what is above a threshold that it rounds up by at most a bucket", () => {
    fc.assert(
      fc.property(values, value, (added, threshold) => {
        const found = countAbove(histogramOf(added), threshold);
        expect(found).toBeLessThanOrEqual(added.filter((one) => one > threshold).length);
        const above = added.filter((one) => one > threshold * 1.106 && one >= 1e-6).length;
        expect(found).toBeGreaterThanOrEqual(above);
      }),
    );
  });

  it("stays small however far apart its values are", () => {
    const far = Array.from({ length: 5_000 }, (_, at) => 10 ** (at / 50 - 50));
    const histogram = histogramOf([...far, Infinity]);
    expect(Object.keys(histogram.buckets).length).toBeLessThanOrEqual(347);
    expect(histogram.count).toBe(5_001);
    expect(Number.isFinite(histogram.sum)).toBe(true);
  });
});
