import { describe, expect, it } from "vitest";

import type { FlagSet } from "../../src/catalog/catalog.ts";
import { checkFlags } from "../../src/routing/check-flags.ts";
import { manifestOf } from "../support/manifests.ts";

const models = {
  m: {
    versions: { 1: manifestOf({ version: 1 }), 2: manifestOf({ version: 2 }) },
    labels: { stable: 1, canary: 2 },
  },
};

const good = {
  state: "ENABLED",
  variants: { current: "stable", next: { version: 2 } },
  defaultVariant: "current",
  targeting: {
    fractional: [
      ["current", 95],
      ["next", 5],
    ],
  },
} as const;

const problemsOf = (flag: object, name = "m"): string[] =>
  checkFlags({ flags: { [name]: { ...good, ...flag } } } as unknown as FlagSet, models).map(
    ({ field, problem }) => `${field}: ${problem}`,
  );

describe("checkFlags", () => {
  it("finds nothing in a good flag", () => {
    expect(problemsOf({})).toEqual([]);
    expect(problemsOf({ targeting: undefined })).toEqual([]);
  });

  it.each<[string, object, string]>([
    [
      "a missing version",
      { variants: { current: 9 } },
      "flags.m.variants.current: names version 9, which is not published; there are 1, 2, stable, canary",
    ],
    [
      "a missing label",
      { variants: { current: "beta" } },
      "flags.m.variants.current: names version beta, which is not published; there are 1, 2, stable, canary",
    ],
    [
      "a variant that is no version",
      { variants: { current: true } },
      'flags.m.variants.current: must be a version\'s number, a label, or {"version": …, "shadow": {"version": …, "rate": 0 to 1}}',
    ],
    [
      "a missing default",
      { defaultVariant: "gone" },
      'flags.m.defaultVariant: there is no variant "gone"',
    ],
    [
      "fractions that don't sum",
      {
        targeting: {
          fractional: [
            ["current", 90],
            ["next", 5],
          ],
        },
      },
      "flags.m.targeting.fractional: the shares add up to 95, not 100",
    ],
    [
      "a fraction that is no number",
      { targeting: { fractional: [["current", "all"]] } },
      "flags.m.targeting.fractional[0]: its share must be a whole number",
    ],
    [
      "a fraction of a missing variant",
      {
        targeting: {
          fractional: [
            ["current", 50],
            ["gone", 50],
          ],
        },
      },
      'flags.m.targeting.fractional[1]: there is no variant "gone"',
    ],
    [
      "a rule that is never reached",
      { targeting: { if: [true, "current", { "==": [1, 1] }, "next"] } },
      "flags.m.targeting.if[2]: is never reached: the condition before it always holds",
    ],
    [
      "an operator that does not exist",
      { targeting: { frobnicate: [1] } },
      "flags.m.targeting: Invalid targeting configuration for flag 'm'",
    ],
  ])("names the field of %s", (_, flag, problem) => {
    expect(problemsOf(flag)).toContain(problem);
  });

  it("names a model that is not there", () => {
    expect(problemsOf({}, "other")).toEqual(['flags.other: there is no model "other"']);
  });
});
