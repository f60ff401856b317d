import * as v from "valibot";
import { describe, expect, it } from "vitest";

import { Flag } from "../../src/catalog/catalog.ts";
import { checkFlags } from "../../src/routing/check-flags.ts";
import { flagdProvider } from "../../src/routing/flagd.ts";
import { rolloutFlag } from "../../src/rollout/flag.ts";
import { BASELINE, CANDIDATE, planOf } from "./support.ts";

const plan = planOf();
const models = { minilm: { labels: { stable: BASELINE }, versions: { 3: {}, 4: {} } } };
const USERS = 2_000;

/** The users that get the candidate. */
async function nextUsers(step: number): Promise<Set<number>> {
  const provider = flagdProvider({
    flags: { minilm: rolloutFlag({ plan, baseline: BASELINE, step }) },
  });
  const users = new Set<number>();
  for (let user = 0; user < USERS; user++) {
    const { variant } = await provider.resolveObjectEvaluation("minilm", null, {
      targetingKey: `user ${user}`,
    });
    if (variant === "next") users.add(user);
  }
  return users;
}

describe("a rollout's flag", () => {
  it.each(plan.steps.map((share, step) => ({ share, step })))(
    "at $share % is one that may be published",
    ({ step }) => {
      const flag = rolloutFlag({ plan, baseline: BASELINE, step });
      expect(v.is(Flag, flag)).toBe(true);
      expect(checkFlags({ flags: { minilm: flag } }, models)).toEqual([]);
    },
  );

  it("shadows each version with the other", () => {
    expect(rolloutFlag({ plan, baseline: BASELINE, step: 1 })).toEqual({
      state: "ENABLED",
      variants: {
        current: { version: BASELINE, shadow: { version: CANDIDATE, rate: 0.1 } },
        next: { version: CANDIDATE, shadow: { version: BASELINE, rate: 0.1 } },
      },
      metadata: { rollout: CANDIDATE },
      defaultVariant: "current",
      targeting: {
        fractional: [
          ["current", 95],
          ["next", 5],
        ],
      },
    });
  });

  it("names no shadow where none is wanted", () => {
    const { variants } = rolloutFlag({
      plan: planOf({ shadowRate: 0, guards: { disagreement: false, cost: false } }),
      baseline: BASELINE,
      step: 0,
    });
    expect(variants).toEqual({ current: { version: BASELINE }, next: { version: CANDIDATE } });
  });

  it("only moves users to the candidate, step by step, until all have it", async () => {
    let before = new Set<number>();
    for (const [step, share] of plan.steps.entries()) {
      const users = await nextUsers(step);
      expect([...before].filter((user) => !users.has(user))).toEqual([]);
      expect(Math.abs(users.size / USERS - share / 100)).toBeLessThan(0.03);
      before = users;
    }
    expect(before.size).toBe(USERS);
  });

  it("is for steps that the plan has", () => {
    expect(() => rolloutFlag({ plan, baseline: BASELINE, step: 5 })).toThrow("no step 5");
  });
});
