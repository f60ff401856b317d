import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { add, fromDollars, nano, subtract, times, toDollars } from "../../src/billing/money.ts";

const MOST = Number.MAX_SAFE_INTEGER;

const amount = fc.maxSafeInteger();

const codeOf = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

/** The same with integers of any size: what the answer has to be. */
const expected = (exact: bigint) =>
  exact >= -BigInt(MOST) && exact <= BigInt(MOST) ? Number(exact) : "amount_overflow";

describe("money", () => {
  it("adds, subtracts and multiplies exactly, or says that it can't", () => {
    fc.assert(
      fc.property(amount, amount, fc.nat(MOST), (a, b, count) => {
        expect(codeOf(() => add(a, b))).toBe(expected(BigInt(a) + BigInt(b)));
        expect(codeOf(() => subtract(a, b))).toBe(expected(BigInt(a) - BigInt(b)));
        expect(codeOf(() => times(count, a))).toBe(expected(BigInt(count) * BigInt(a)));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    [MOST, 1],
    [MOST - 1, 1],
    [-MOST, -1],
    [MOST, MOST],
  ])("knows the edge: %d and %d", (a, b) => {
    expect(codeOf(() => add(a, b))).toBe(expected(BigInt(a) + BigInt(b)));
  });

  it.each([94906265, 94906266, 94906267, 2 ** 27, 2 ** 30])(
    "squares %d exactly or not at all",
    (n) => {
      expect(codeOf(() => times(n, n))).toBe(expected(BigInt(n) * BigInt(n)));
    },
  );

  it("sums the same in any grouping, and is never minus zero", () => {
    const small = fc.integer({ min: -1_000_000_000_000, max: 1_000_000_000_000 });
    fc.assert(
      fc.property(fc.array(small, { maxLength: 20 }), fc.nat(20), (amounts, cut) => {
        const parts = add(add(...amounts.slice(0, cut)), add(...amounts.slice(cut)));
        expect(parts).toBe(add(...amounts));
      }),
    );
    expect(Object.is(times(0, -5), 0)).toBe(true);
    expect(Object.is(subtract(0, 0), 0)).toBe(true);
  });

  it.each([
    [0.5, "invalid_amount"],
    [Number.NaN, "amount_overflow"],
    [Number.POSITIVE_INFINITY, "amount_overflow"],
    [2 ** 53, "amount_overflow"],
  ])("is no %d", (value, code) => {
    expect(codeOf(() => nano(value))).toBe(code);
  });

  it.each([-1, 0.5, 2 ** 53, Number.NaN])("has no price for %d units", (count) => {
    expect(codeOf(() => times(count, 1))).toBe("invalid_units");
  });
});

describe("dollars", () => {
  it.each([
    [0, "0.00"],
    [1, "0.000000001"],
    [-1, "-0.000000001"],
    [1_500_000_000, "1.50"],
    [1_230_000_000, "1.23"],
    [1_234_567_890, "1.23456789"],
    [-20_000_000_000, "-20.00"],
    [MOST, "9007199.254740991"],
  ])("%d nano-dollars are %s", (value, text) => {
    expect(toDollars(value)).toBe(text);
    expect(fromDollars(text)).toBe(value);
  });

  it("are read as they are written", () => {
    fc.assert(
      fc.property(amount, (value) => {
        expect(fromDollars(toDollars(value))).toBe(value);
      }),
    );
  });

  it.each(["", "1.", ".5", "1e3", "1,50", " 1", "1.0000000001", "--1", "$1", "NaN"])(
    "are not %j",
    (text) => {
      expect(codeOf(() => fromDollars(text))).toBe("invalid_amount");
    },
  );

  it.each(["9007199.254740992", "99999999999999999999"])("are fewer than %s", (text) => {
    expect(codeOf(() => fromDollars(text))).toMatch(/amount_overflow|invalid_units/);
  });
});
