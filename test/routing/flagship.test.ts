import { describe, expect, it } from "vitest";

import type { Catalog } from "../../src/catalog/catalog.ts";
import { chooseVersion } from "../../src/routing/choose.ts";
import { type FlagshipBinding, flagshipProvider } from "../../src/routing/flagship.ts";
import { manifestOf } from "../support/manifests.ts";

type Details = FlagshipEvaluationDetails<object>;
type Call = Parameters<FlagshipBinding["getObjectDetails"]>;

/** A binding that answers with `details`, or with the default when there are none, and remembers what it was asked. */
function bindingOf(details: Partial<Details> = {}): FlagshipBinding & { readonly calls: Call[] } {
  const calls: Call[] = [];
  return {
    calls,
    async getObjectDetails<T extends object>(
      flagKey: string,
      defaultValue: T,
      context?: FlagshipEvaluationContext,
    ): Promise<FlagshipEvaluationDetails<T>> {
      calls.push([flagKey, defaultValue, context]);
      return {
        flagKey,
        value: defaultValue,
        ...(details as Partial<typeof details & { value: T }>),
      };
    },
  };
}

const THROWING: FlagshipBinding = {
  getObjectDetails: () => Promise.reject(new Error("internal error")),
};

const FALLBACK = { version: "stable" };

describe("flagshipProvider", () => {
  it("asks with the flag's key, the default and the attributes that are scalars", async () => {
    const binding = bindingOf();
    await flagshipProvider(binding).resolveObjectEvaluation("minilm", FALLBACK, {
      targetingKey: "user-1",
      country: "NZ",
      inputBytes: 0,
      paid: false,
      nothing: null,
      account: { plan: "free" },
      list: ["a"],
      since: new Date(0),
    });
    expect(binding.calls).toEqual([
      ["minilm", FALLBACK, { targetingKey: "user-1", country: "NZ", inputBytes: 0, paid: false }],
    ]);
  });

  it.each<[string, Partial<Details>, object]>([
    [
      "a matching rule",
      { value: { version: 2 }, variant: "next", reason: "TARGETING_MATCH" },
      { value: { version: 2 }, variant: "next", reason: "TARGETING_MATCH" },
    ],
    [
      "a reason in small letters",
      { value: { version: 2 }, variant: "next", reason: "split" },
      { value: { version: 2 }, variant: "next", reason: "SPLIT" },
    ],
    ["no reason", { value: { version: 2 } }, { value: { version: 2 }, reason: "UNKNOWN" }],
    [
      "a flag that is not there",
      { variant: "default", reason: "ERROR", errorCode: "FLAG_NOT_FOUND", errorMessage: "no flag" },
      {
        value: FALLBACK,
        variant: "default",
        reason: "ERROR",
        errorCode: "FLAG_NOT_FOUND",
        errorMessage: "no flag",
      },
    ],
    [
      "an error that OpenFeature does not know",
      { errorCode: "ON_FIRE" },
      { value: FALLBACK, reason: "ERROR", errorCode: "GENERAL" },
    ],
  ])("tells OpenFeature's details of %s", async (_, details, expected) => {
    const provider = flagshipProvider(bindingOf(details));
    expect(await provider.resolveObjectEvaluation("m", FALLBACK, {})).toEqual(expected);
  });

  it("gives a default that is no object back when the flag fails", async () => {
    const provider = flagshipProvider(bindingOf({ errorCode: "GENERAL" }));
    expect(await provider.resolveObjectEvaluation("m", "stable", {})).toMatchObject({
      value: "stable",
      errorCode: "GENERAL",
    });
  });
});

/** Versions 1, stable, and 2; the flag's entry says only that there is one. */
function catalogOf(hasFlag: boolean): Catalog {
  const versions = [1, 2].map((version) => [version, manifestOf({ name: "m", version })]);
  return {
    schema: 1,
    number: 7,
    models: { m: { versions: Object.fromEntries(versions), labels: { stable: 1 } } },
    ...(hasFlag && { flags: { flags: { m: { state: "ENABLED", variants: {} } } } }),
  };
}

const choose = (binding: FlagshipBinding, hasFlag = true) =>
  chooseVersion(
    catalogOf(hasFlag),
    { model: "m" },
    { context: { targetingKey: "user-1" } },
    flagshipProvider(binding),
  );

describe("chooseVersion with Flagship", () => {
  it("takes the version that the flag's variation names", async () => {
    const binding = bindingOf({ value: { version: 2 }, variant: "next", reason: "SPLIT" });
    expect(await choose(binding)).toEqual({
      manifest: expect.objectContaining({ version: 2 }),
      reason: "SPLIT",
      flag: "m",
      variant: "next",
    });
  });

  it.each<[string, FlagshipBinding, string]>([
    ["throws", THROWING, "ERROR"],
    ["answers the default with an error", bindingOf({ errorCode: "FLAG_NOT_FOUND" }), "ERROR"],
    ["answers the default and no more", bindingOf(), "UNKNOWN"],
    ["names a version that is not published", bindingOf({ value: { version: 9 } }), "ERROR"],
    [
      "has the flag switched off",
      bindingOf({ value: { version: 2 }, reason: "DISABLED" }),
      "STABLE",
    ],
  ])("is answered by stable when the binding %s", async (_, binding, reason) => {
    expect(await choose(binding)).toMatchObject({ manifest: { version: 1 }, reason });
  });

  it("asks nothing about a model whose catalog has no flag", async () => {
    const binding = bindingOf({ value: { version: 2 } });
    expect(await choose(binding, false)).toMatchObject({ manifest: { version: 1 } });
    expect(binding.calls).toEqual([]);
  });
});
