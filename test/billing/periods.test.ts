import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  type PeriodUnit,
  dayOf,
  endOf,
  hourOf,
  monthOf,
  monthsBefore,
  periodOf,
  startOf,
} from "../../src/billing/periods.ts";

const at = (text: string): number => Date.parse(text);

const moment = fc.date({
  min: new Date("1972-01-01T00:00:00Z"),
  max: new Date("2999-12-31T23:59:59Z"),
  noInvalidDate: true,
});

const KEYS = { hour: hourOf, day: dayOf, month: monthOf } as const;

describe("periods", () => {
  it("have keys that sort like time and contain each other", () => {
    expect([hourOf, dayOf, monthOf].map((keyOf) => keyOf(at("2026-11-24T22:59:59.999Z")))).toEqual([
      "2026-11-24T22",
      "2026-11-24",
      "2026-11",
    ]);
  });

  it.each(["hour", "day", "month"] as const)(
    "cover all time without gaps: %s",
    (unit: PeriodUnit) => {
      fc.assert(
        fc.property(moment, (date) => {
          const now = date.getTime();
          const start = startOf(unit, now);
          const end = endOf(unit, now);
          expect(start).toBeLessThanOrEqual(now);
          expect(end).toBeGreaterThan(now);
          expect(periodOf(KEYS[unit](now))).toEqual({ from: start, to: end });
          expect(KEYS[unit](start)).toBe(KEYS[unit](now));
          expect(KEYS[unit](end - 1)).toBe(KEYS[unit](now));
          expect(KEYS[unit](end) > KEYS[unit](now)).toBe(true);
        }),
      );
    },
  );

  it.each([
    ["2028-02", 29],
    ["2026-02", 28],
    ["2100-02", 28],
    ["2000-02", 29],
    ["2026-12", 31],
    ["2026", 365],
    ["2028", 366],
    ["2028-02-29", 1],
  ])("%s has %d days", (key, days) => {
    const { from, to } = periodOf(key) ?? { from: 0, to: 0 };
    expect((to - from) / 86_400_000).toBe(days);
  });

  it("have no second for a leap second: what a clock shows is in the hour before or after", () => {
    expect(periodOf("2016-12-31T23")?.to).toBe(at("2017-01-01T00:00:00Z"));
    expect(endOf("hour", at("2016-12-31T23:59:59.999Z"))).toBe(at("2017-01-01T00:00:00Z"));
  });

  it("are of UTC wherever a machine is", () => {
    expect(dayOf(at("2026-11-24T23:30:00-05:00"))).toBe("2026-11-25");
    expect(monthOf(at("2026-12-01T00:30:00+02:00"))).toBe("2026-11");
  });

  it.each([
    "",
    "26",
    "2026-13",
    "2026-00",
    "2026-02-30",
    "2026-11-24T24",
    "2026-1",
    "0050",
    "2026-11-24T22:00",
  ])("are not named by %j", (key) => {
    expect(periodOf(key)).toBeUndefined();
  });

  it.each([
    ["2026-03-31T12:00:00Z", 1, "2026-02-01"],
    ["2026-01-15T00:00:00Z", 13, "2024-12-01"],
  ])("so many months before %s (%d) begin on %s", (now, months, day) => {
    expect(dayOf(monthsBefore(at(now), months))).toBe(day);
  });
});
