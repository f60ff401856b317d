import { describe, expect, it } from "vitest";

import { booleanParameter, invalidParameter, numberParameter } from "../../src/tasks/parameters.ts";
import { refusal } from "./support.ts";

const RANGE = { fallback: 5, minimum: 1, maximum: 10 };

describe("booleanParameter", () => {
  it("falls back when it is absent or null", () => {
    expect(booleanParameter({}, "x", true)).toBe(true);
    expect(booleanParameter({ x: null, y: false }, "x", true)).toBe(true);
    expect(booleanParameter({ x: false }, "x", true)).toBe(false);
  });

  it.each(["true", "", 0, 1, [], {}])("refuses %j", (x) => {
    expect(() => booleanParameter({ x }, "x", true)).toThrow(
      refusal("invalid_input", "parameters.x"),
    );
  });
});

describe("numberParameter", () => {
  it("falls back when it is absent or null", () => {
    expect(numberParameter({}, "x", RANGE)).toBe(5);
    expect(numberParameter({ x: null }, "x", RANGE)).toBe(5);
  });

  it.each([1, 2.5, 10])("takes %d", (x) => {
    expect(numberParameter({ x }, "x", RANGE)).toBe(x);
  });

  it.each([0.999, 10.001, Number.NaN, Number.POSITIVE_INFINITY, "5", true, [5], {}])(
    "refuses %j",
    (x) => {
      expect(() => numberParameter({ x }, "x", RANGE)).toThrow(
        refusal("invalid_input", "parameters.x"),
      );
    },
  );

  it("takes whole numbers only when it is asked to", () => {
    const range = { ...RANGE, integer: true };
    expect(numberParameter({ x: 3 }, "x", range)).toBe(3);
    expect(() => numberParameter({ x: 2.5 }, "x", range)).toThrow(/a whole number from 1 to 10/);
  });

  it("has no fallback where NaN stands for none", () => {
    expect(() => numberParameter({}, "x", { ...RANGE, fallback: Number.NaN })).toThrow(
      refusal("invalid_input", "parameters.x"),
    );
  });
});

describe("invalidParameter", () => {
  it("names the parameter in the sentence and in the field", () => {
    expect(invalidParameter("top_k", "must be smaller")).toMatchObject({
      code: "invalid_input",
      field: "parameters.top_k",
      message: '"top_k" must be smaller.',
    });
  });
});
