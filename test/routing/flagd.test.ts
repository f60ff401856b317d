import { describe, expect, it } from "vitest";

import { flagdProvider } from "../../src/routing/flagd.ts";

// The examples of https://flagd.dev/reference/custom-operations/ and /reference/flag-definitions/.

const evaluate = (flags: object, key: string, context: object) =>
  flagdProvider(flags).resolveObjectEvaluation(key, "none", { ...context });

describe("flagd's documented examples", () => {
  const headerColor = {
    flags: {
      headerColor: {
        variants: { red: "#FF0000", blue: "#0000FF", green: "#00FF00", grey: "#808080" },
        defaultVariant: "red",
        state: "ENABLED",
        targeting: {
          if: [
            { $ref: "emailWithFaas" },
            {
              fractional: [
                { var: "email" },
                ["red", 25],
                ["blue", 25],
                ["green", 25],
                ["grey", 25],
              ],
            },
            null,
          ],
        },
      },
    },
    $evaluators: { emailWithFaas: { in: ["@faas.com", { var: ["email"] }] } },
  };

  it("fractional by email, with a shared rule by $ref: the same email, the same colour", async () => {
    const seen = new Map<string, number>();
    for (let index = 0; index < 4_000; index++) {
      const context = { email: `user${index}@faas.com` };
      const { variant, reason } = await evaluate(headerColor, "headerColor", context);
      expect(reason).toBe("TARGETING_MATCH");
      expect((await evaluate(headerColor, "headerColor", context)).variant).toBe(variant);
      seen.set(String(variant), (seen.get(String(variant)) ?? 0) + 1);
      if (index >= 400) break;
    }
    expect([...seen.keys()].toSorted()).toEqual(["blue", "green", "grey", "red"]);
    expect(await evaluate(headerColor, "headerColor", { email: "user@other.com" })).toMatchObject({
      variant: "red",
      reason: "DEFAULT",
    });
  });

  it.each([
    ["1.2.3", "red"],
    ["2.0.0", "green"],
    ["2.4.1", "green"],
    ["0.9.0", "red"],
  ])("sem_ver: version %s gets %s", async (version, variant) => {
    const flags = {
      flags: {
        color: {
          variants: { red: "#FF0000", green: "#00FF00" },
          defaultVariant: "red",
          state: "ENABLED",
          targeting: { if: [{ sem_ver: [{ var: "version" }, ">=", "2.0.0"] }, "green", null] },
        },
      },
    };
    expect((await evaluate(flags, "color", { version })).variant).toBe(variant);
  });

  it.each([
    ["user@faas.com", "fromFaas"],
    ["admin@example.com", "other"],
  ])("starts_with and ends_with: %s gets %s", async (email, variant) => {
    const flags = {
      flags: {
        who: {
          variants: { fromFaas: 1, other: 2 },
          defaultVariant: "other",
          state: "ENABLED",
          targeting: {
            if: [
              {
                and: [
                  { starts_with: [{ var: "email" }, "user@"] },
                  { ends_with: [{ var: "email" }, "faas.com"] },
                ],
              },
              "fromFaas",
              null,
            ],
          },
        },
      },
    };
    expect((await evaluate(flags, "who", { email })).variant).toBe(variant);
  });
});
