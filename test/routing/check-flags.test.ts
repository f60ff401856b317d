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
      "flags.m.targeting.if[2]: is the same for everybody, so a branch is never reached: it names no attribute",
    ],
    [
      "a result that is no variant",
      { targeting: { if: [{ "==": [{ var: "country" }, "DE"] }, "nxt", "current"] } },
      'flags.m.targeting.if[1]: there is no variant "nxt"; there are current, next',
    ],
    [
      "a result that is a number",
      { targeting: { "+": [1, 2] } },
      "flags.m.targeting.+: results in a number, which is no variant",
    ],
    [
      "a condition without branches",
      { targeting: { "==": [{ var: "country" }, "DE"] } },
      'flags.m.targeting.==: results in true or false, and there are no variants of these names: put it into an "if"',
    ],
    [
      "a shared rule that is not there",
      { targeting: { if: [{ $ref: "isBeta" }, "next", "current"] } },
      'flags.m.targeting.if[0].$ref: there is no shared rule "isBeta"; there are none',
    ],
    [
      "a variant that no header can carry",
      { variants: { current: 1, next: 2, "a\nb": 1 } },
      "flags.m.variants.a\nb: a variant's name has 1 to 64 letters, digits, dots, dashes and underscores, because answers carry it in a header",
    ],
    [
      "a variant that would vanish",
      { variants: { current: 1, next: 2, prototype: 1 } },
      "flags.m.variants.prototype: a variant's name has 1 to 64 letters, digits, dots, dashes and underscores, because answers carry it in a header",
    ],
    [
      "rules without end",
      {
        targeting: Array.from({ length: 100 }).reduce<object>((inner) => ({ "!": [inner] }), {
          var: "country",
        }),
      },
      "flags.m.targeting: is nested deeper than 64",
    ],
    [
      "an operator that does not exist",
      { targeting: { frobnicate: [1] } },
      "flags.m.targeting.frobnicate: is no operator of JsonLogic or flagd",
    ],
  ])("names the field of %s", (_, flag, problem) => {
    expect(problemsOf(flag)).toContain(problem);
  });

  it("names a model that is not there", () => {
    expect(problemsOf({}, "other")).toEqual(['flags.other: there is no model "other"']);
  });
});
