import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { PeakEwma, RecentLatency } from "../../src/origin/latency.ts";

describe("PeakEwma", () => {
  it("takes an unknown endpoint for the best one", () => {
    expect(new PeakEwma().value(70, 1_000)).toBe(70);
  });

  it("rises at once to a slow answer, and falls slowly with fast ones", () => {
    const ewma = new PeakEwma();
    ewma.observe(50, 0);
    ewma.observe(900, 1);
    expect(ewma.value(50, 1)).toBe(900);
    ewma.observe(50, 1_001);
    expect(ewma.value(50, 1_001)).toBeCloseTo(50 + 850 * Math.exp(-0.1));
    for (let now = 2_001; now < 60_000; now += 1_000) ewma.observe(50, now);
    expect(ewma.value(50, 60_000)).toBeLessThan(53);
  });

  it("returns to the best when nothing is heard", () => {
    const ewma = new PeakEwma();
    ewma.observe(900, 0);
    expect(ewma.value(50, 10_000)).toBeCloseTo(50 + 850 / Math.E);
    expect(ewma.value(50, 100_000)).toBeCloseTo(50, 1);
  });

  it("doesn't get better by attempts that had no answer", () => {
    const ewma = new PeakEwma();
    ewma.observe(50, 0);
    ewma.observeAtLeast(1, 10_000);
    expect(ewma.value(50, 10_000)).toBe(50);
    ewma.observeAtLeast(80, 10_000);
    expect(ewma.value(50, 10_000)).toBe(80);
  });

  it("stays between the least and the most that it was told", () => {
    const step = fc.record({ ms: fc.double({ min: 0.1, max: 1e5, noNaN: true }), dt: fc.nat(1e5) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1 }), (steps) => {
        const ewma = new PeakEwma();
        let now = 0;
        for (const { ms, dt } of steps) ewma.observe(ms, (now += dt));
        const all = steps.map(({ ms }) => ms);
        const value = ewma.value(Math.min(...all), now);
        expect(value).toBeGreaterThanOrEqual(Math.min(...all) * (1 - 1e-9));
        expect(value).toBeLessThanOrEqual(Math.max(...all) * (1 + 1e-9));
        expect(value).toBeGreaterThanOrEqual((all.at(-1) ?? 0) * (1 - 1e-9));
      }),
    );
  });
});

describe("RecentLatency", () => {
  it("says nothing of the 95th percentile before twenty answers", () => {
    const recent = new RecentLatency();
    for (let i = 0; i < 19; i++) recent.observe(100, i);
    expect(recent.p95(20)).toBeUndefined();
    recent.observe(100, 20);
    expect(recent.p95(20)).toBeGreaterThan(95);
  });

  it("is within 5 % of the true value", () => {
    const recent = new RecentLatency();
    for (let i = 1; i <= 1_000; i++) recent.observe(i, i);
    expect(Math.abs((recent.p95(1_000) ?? 0) / 950 - 1)).toBeLessThan(0.055);
  });

  it("forgets what is older than two windows", () => {
    const recent = new RecentLatency();
    for (let i = 0; i < 100; i++) recent.observe(5_000, i);
    for (let now = 30_000; now < 95_000; now += 500) recent.observe(10, now);
    expect(recent.p95(95_000)).toBeLessThan(11);
    expect(recent.p95(500_000)).toBeUndefined();
  });
});
