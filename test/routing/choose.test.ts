import { InMemoryProvider } from "@openfeature/server-sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { Catalog, Flag } from "../../src/catalog/catalog.ts";
import { chooseVersion, describedVersion } from "../../src/routing/choose.ts";
import type { FlagProvider } from "../../src/routing/flag-provider.ts";
import { flagdProvider } from "../../src/routing/flagd.ts";
import { manifestOf } from "../support/manifests.ts";

/** Versions 1 to 3, of which 1 is stable and 2 the canary. */
function catalogOf(flag?: object, more: Partial<Catalog["models"][string]> = {}): Catalog {
  return {
    schema: 1,
    number: 7,
    models: {
      m: {
        versions: Object.fromEntries(
          [1, 2, 3].map((version) => [version, manifestOf({ name: "m", version })]),
        ),
        labels: { stable: 1, canary: 2 },
        ...more,
      },
    },
    ...(flag && { flags: { flags: { m: flag as Flag } } }),
  };
}

const split = (next: number): object => ({
  state: "ENABLED",
  variants: { current: "stable", next: { version: 2 } },
  defaultVariant: "current",
  targeting: {
    fractional: [
      ["current", 100 - next],
      ["next", next],
    ],
  },
});

function providerOf({ flags }: Catalog): FlagProvider | undefined {
  return flags && flagdProvider(flags);
}

const choose = (catalog: Catalog, key: string, more: object = {}, version?: string) =>
  chooseVersion(
    catalog,
    { model: "m", version },
    { context: { targetingKey: key }, ...more },
    providerOf(catalog),
  );

describe("chooseVersion", () => {
  it("takes the URL's version before the override, the override before the flag, the flag before stable", async () => {
    const catalog = catalogOf({ ...split(100), targeting: undefined, defaultVariant: "next" });
    expect(await choose(catalog, "a", { override: "3" }, "1")).toMatchObject({
      manifest: { version: 1 },
      reason: "EXPLICIT",
    });
    expect(await choose(catalog, "a", { override: "3" })).toMatchObject({
      manifest: { version: 3 },
      reason: "OVERRIDE",
    });
    expect(await choose(catalog, "a")).toMatchObject({
      manifest: { version: 2 },
      reason: "STATIC",
      flag: "m",
      variant: "next",
    });
    expect(await choose(catalogOf(), "a")).toEqual({
      manifest: expect.objectContaining({ version: 1 }),
      reason: "STABLE",
    });
  });

  it.each([1, 5, 25, 50, 100])(
    "gives %i percent of 20,000 keys the new version, within one",
    async (share) => {
      const catalog = catalogOf(split(share));
      const provider = providerOf(catalog);
      let chosen = 0;
      for (let key = 0; key < 20_000; key++) {
        const { manifest } = await chooseVersion(
          catalog,
          { model: "m" },
          { context: { targetingKey: `user-${key}` } },
          provider,
        );
        if (manifest.version === 2) chosen++;
      }
      expect(Math.abs(chosen / 200 - share)).toBeLessThanOrEqual(1);
    },
  );

  it("moves callers from old to new only, as a share grows", async () => {
    const shares = [0, 1, 5, 25, 50, 100];
    const catalogs = shares.map((share) => catalogOf(split(share)));
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1, maxLength: 60 }), async (key) => {
        const versions = await Promise.all(
          catalogs.map(async (catalog) => (await choose(catalog, key)).manifest.version),
        );
        expect(versions).toEqual(versions.toSorted());
        const again = await Promise.all(
          shares.map(
            async (share) => (await choose(catalogOf(split(share)), key)).manifest.version,
          ),
        );
        expect(again).toEqual(versions);
      }),
    );
  });

  it.each<[string, object]>([
    ["throws in its rule", { ...split(1), targeting: { fractional: "nonsense" } }],
    ["names a variant that is not there", { ...split(1), targeting: { if: [true, "gone"] } }],
    ["names a version that is not published", { ...split(1), variants: { current: 99 } }],
    [
      "has a variant that is no version",
      { ...split(1), variants: { current: { shape: "round" } } },
    ],
    ["is switched off", { ...split(100), state: "DISABLED" }],
    ["has an operator that does not exist", { ...split(1), targeting: { frobnicate: [1] } }],
  ])("is answered by stable when the flag %s", async (_, flag) => {
    const catalog = catalogOf({ defaultVariant: "current", ...flag });
    const { manifest } = await choose(catalog, "a");
    expect(manifest.version).toBe(1);
  });

  it("never throws and always chooses a published version, whatever flags and contexts hold", async () => {
    const rule = fc.letrec<{ rule: unknown }>((tie) => ({
      rule: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue({ maxDepth: 1 }),
        fc.constantFrom("current", "next", "gone"),
        fc.dictionary(
          fc.constantFrom("if", "==", "fractional", "sem_ver", "starts_with", "var", "$ref", "in"),
          fc.array(tie("rule"), { maxLength: 4 }),
          { maxKeys: 1 },
        ),
      ),
    })).rule;
    const flag = fc.record(
      {
        state: fc.constantFrom("ENABLED", "DISABLED"),
        variants: fc.dictionary(
          fc.constantFrom("current", "next", "other"),
          fc.oneof(fc.constantFrom("stable", "canary", 3, 99), fc.jsonValue({ maxDepth: 1 })),
        ),
        defaultVariant: fc.constantFrom("current", "next"),
        targeting: rule,
      },
      { requiredKeys: ["state", "variants"] },
    );
    const context = fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }));
    await fc.assert(
      fc.asyncProperty(flag, context, fc.string(), async (one, attributes, targetingKey) => {
        const catalog = catalogOf(one);
        let provider: FlagProvider | undefined;
        try {
          provider = providerOf(catalog);
        } catch {
          // What flagd does not take is answered without flags.
        }
        const { manifest, reason } = await chooseVersion(
          catalog,
          { model: "m" },
          { context: { ...(attributes as object), targetingKey } },
          provider,
        );
        expect([1, 2, 3]).toContain(manifest.version);
        expect(reason).toMatch(/^[A-Z_]+$/);
      }),
      { numRuns: 500 },
    );
  });

  it("takes any OpenFeature provider", async () => {
    const provider = new InMemoryProvider({
      m: { variants: { three: { version: 3 } }, defaultVariant: "three", disabled: false },
    }) as unknown as FlagProvider;
    const choice = await chooseVersion(
      catalogOf(split(0)),
      { model: "m" },
      { context: { targetingKey: "a" } },
      provider,
    );
    expect(choice).toMatchObject({ manifest: { version: 3 }, variant: "three", reason: "STATIC" });
  });
});

describe("a shadow", () => {
  const shadowed = (shadow: unknown): object => ({
    state: "ENABLED",
    variants: { current: { version: 1, shadow } },
    defaultVariant: "current",
  });

  it.each<[string, string | number, number]>([
    ["version", 3, 3],
    ["label", "canary", 2],
  ])("comes with the flag's choice, by %s", async (_, version, number) => {
    expect(await choose(catalogOf(shadowed({ version, rate: 0.25 })), "a")).toEqual({
      manifest: expect.objectContaining({ version: 1 }),
      reason: "STATIC",
      flag: "m",
      variant: "current",
      shadow: { manifest: expect.objectContaining({ version: number }), rate: 0.25 },
    });
  });

  it.each<[string, string | number, object?]>([
    ["is not published", 99],
    ["has a label that nobody gave", "beta"],
    ["is the version that answers", 1],
    ["has the label of the version that answers", "stable"],
    ["is switched off", 2, { offVersions: [2] }],
  ])("is left out when it %s, and the answer stays the flag's", async (_, version, more = {}) => {
    const choice = await choose(catalogOf(shadowed({ version, rate: 1 }), more), "a");
    expect(choice).toEqual({
      manifest: expect.objectContaining({ version: 1 }),
      reason: "STATIC",
      flag: "m",
      variant: "current",
    });
  });

  it("has none where the URL, the operator or stable decides", async () => {
    const catalog = catalogOf(shadowed({ version: 2, rate: 1 }), { offVersions: [1] });
    const on = catalogOf(shadowed({ version: 2, rate: 1 }));
    expect(await choose(on, "a", {}, "1")).not.toHaveProperty("shadow");
    expect(await choose(on, "a", { override: "1" })).not.toHaveProperty("shadow");
    await expect(choose(catalog, "a")).rejects.toMatchObject({ code: "version_off" });
  });
});

describe("switches", () => {
  it("answer nobody while the model is off", async () => {
    await expect(choose(catalogOf(undefined, { off: true }), "a")).rejects.toMatchObject({
      code: "model_off",
    });
    expect(() => describedVersion(catalogOf(undefined, { off: true }), { model: "m" })).toThrow(
      /switched off/,
    );
  });

  it("turn a flag's callers back to stable while its version is off, and refuse whoever names it", async () => {
    const catalog = catalogOf(split(100), { offVersions: [2] });
    expect(await choose(catalog, "a")).toMatchObject({ manifest: { version: 1 }, reason: "OFF" });
    await expect(choose(catalog, "a", {}, "2")).rejects.toMatchObject({ code: "version_off" });
    await expect(choose(catalog, "a", {}, "canary")).rejects.toMatchObject({ code: "version_off" });
  });
});

describe("a variant's placement", () => {
  const placed = (placement: unknown) =>
    catalogOf({
      state: "ENABLED",
      variants: { current: { version: 1, placement } },
      defaultVariant: "current",
    });

  it.each(["edge", "origin"])("%s is passed on", async (placement) => {
    expect(await choose(placed(placement), "a")).toMatchObject({ variant: "current", placement });
  });

  it("that there is none of costs no answer", async () => {
    const choice = await choose(placed("moon"), "a");
    expect(choice).toMatchObject({ manifest: { version: 1 }, reason: "ERROR" });
    expect(choice).not.toHaveProperty("placement");
  });
});
