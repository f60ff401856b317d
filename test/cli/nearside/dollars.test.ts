import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { cost, dollars, dollarsText } from "../../../src/cli/nearside/dollars.ts";
import { monthSpan, spanOf, timeOf } from "../../../src/cli/nearside/period.ts";
import { UsageError } from "../../../src/cli/nearside/usage-error.ts";

describe("dollars", () => {
  it("come back as they were shown, to the nano-dollar", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (amount) => {
        const shown = dollarsText(amount);
        expect(shown).toMatch(/^-?\$\d+\.\d{2,9}$/);
        expect(dollars("<dollars>", shown.replace("$", ""))).toBe(amount === 0 ? 0 : amount);
      }),
    );
  });

  it.each(["", "1,5", "1e3", ".5", "5.", "0x1", "1.0000000001", "$1", "NaN", "9007200", "--1"])(
    "are not %j",
    (text) => {
      expect(() => dollars("--day-limit", text)).toThrow(UsageError);
      expect(() => dollars("--day-limit", text)).toThrow(`--day-limit is "${text}", which is`);
    },
  );

  it("below zero are no cost", () => {
    expect(() => cost("--grace", "-0.01")).toThrow('--grace is "-0.01", and can\'t be below zero.');
    expect(cost("--grace", "0.01")).toBe(10_000_000);
  });
});

describe("a period", () => {
  const now = Date.parse("2026-11-24T22:30:00Z");

  it.each([
    [undefined, undefined, "2026-11-01T00:00:00.000Z", "2026-11-25T00:00:00.000Z"],
    ["2026-10", "2026-10", "2026-10-01T00:00:00.000Z", "2026-11-01T00:00:00.000Z"],
    ["2026-10-31", undefined, "2026-10-31T00:00:00.000Z", "2026-11-25T00:00:00.000Z"],
    [undefined, "2026-11-02T09", "2026-11-01T00:00:00.000Z", "2026-11-02T10:00:00.000Z"],
    ["2028-02", "2028-02", "2028-02-01T00:00:00.000Z", "2028-03-01T00:00:00.000Z"],
  ])("from %s to %s ends with the end of its last part", (from, to, first, last) => {
    expect(spanOf(from, to, now)).toEqual({ from: first, to: last });
  });

  it.each([
    ["2026-13", undefined, "--from takes a month, a day or an hour of UTC"],
    [undefined, "yesterday", "--to takes a month, a day or an hour of UTC, such as 2026-11, 20"],
    ["2026-11-25", undefined, "--from is later than --to."],
  ])("from %s to %s is refused", (from, to, message) => {
    expect(() => spanOf(from, to, now)).toThrow(message);
  });

  it("is a month, this one where none is named", () => {
    const month = { from: "2026-11-01T00:00:00.000Z", to: "2026-12-01T00:00:00.000Z" };
    expect(monthSpan(undefined, now)).toEqual(month);
    expect(monthSpan("2026-11", 0)).toEqual(month);
  });

  it.each(["2026", "2026-11-24", "2026-00", "11", "2026-1"])("is no month: %s", (text) => {
    expect(() => monthSpan(text, now)).toThrow(
      `--month takes a month such as 2026-11, not "${text}"`,
    );
  });
});

describe("a time", () => {
  it.each([
    ["2027-01-01", Date.UTC(2027, 0, 1)],
    ["2027-01-01T12:00Z", Date.UTC(2027, 0, 1, 12)],
    ["2027-01-01T12:00:01.5Z", Date.UTC(2027, 0, 1, 12, 0, 1, 500)],
    ["2027-02-30", undefined],
    ["2027-01-01T12:00", undefined],
    ["2027-01-01T25:00Z", undefined],
    ["1 Jan 2027", undefined],
  ])("%s is %s", (text, at) => expect(timeOf(text)).toBe(at));
});
