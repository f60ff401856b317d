import { describe, expect, it } from "vitest";

import { decide } from "../../src/rollout/decide.ts";
import type { RolloutPlan } from "../../src/rollout/plan.ts";
import type { RolloutStats } from "../../src/rollout/stats.ts";
import { emptyStats } from "../../src/rollout/tally.ts";
import { armOf, planOf, statsOf } from "./support.ts";

const plan = planOf({ steps: [10, 100], minSeconds: 600, minRequests: 200, minComparisons: 300 });
const agreeing = { items: 300, requests: 300, outcomes: { compared: 300 } };
const fine = [armOf(1_800, 9), armOf(200, 1)] as const;

function decided(
  parts: { stats?: RolloutStats; seconds?: number; step?: number; plan?: RolloutPlan } = {},
) {
  return decide({
    plan: parts.plan ?? plan,
    step: parts.step ?? 0,
    stepStartedAt: 1_000_000,
    now: 1_000_000 + (parts.seconds ?? 600) * 1_000,
    stats: parts.stats ?? statsOf([fine], agreeing),
  });
}

describe("a decision", () => {
  it("is to go on once time, requests and comparisons have been enough", () => {
    expect(decided()).toMatchObject({
      action: "advance",
      reason: "On to 100 %: no guard is broken after 200 requests of the candidate at 10 %.",
    });
  });

  it("is to promote after the last step on the same conditions", () => {
    const stats = statsOf([fine, [armOf(0), armOf(200, 1)]], agreeing);
    expect(decided({ stats, step: 1 }).action).toBe("promote");
    expect(decided({ stats, step: 1, seconds: 599 }).action).toBe("wait");
  });

  it.each([
    {
      what: "time",
      seconds: 599.5,
      stats: statsOf([fine], agreeing),
      missing: "1 more of 600 seconds",
    },
    {
      what: "requests",
      seconds: 600,
      stats: statsOf([[armOf(5_000), armOf(199)]], agreeing),
      missing: "1 more of 200 requests of the candidate",
    },
    {
      what: "comparisons",
      seconds: 600,
      stats: statsOf([fine], { ...agreeing, items: 10, outcomes: { compared: 10, failed: 70 } }),
      missing: "290 more of 300 compared items (70 shadows failed)",
    },
    {
      what: "everything",
      seconds: 0,
      stats: emptyStats(),
      missing:
        "600 more of 600 seconds, 200 more of 200 requests of the candidate, 300 more of 300 compared items",
    },
  ])("is to wait for $what, and says how much is missing", ({ seconds, stats, missing }) => {
    expect(decided({ seconds, stats })).toMatchObject({
      action: "wait",
      reason: `Waits for ${missing}.`,
    });
  });

  it("counts the requests of the present step only", () => {
    const stats = statsOf([fine, [armOf(0), armOf(20)]], agreeing);
    expect(decided({ stats, step: 1 }).reason).toBe(
      "Waits for 180 more of 200 requests of the candidate.",
    );
  });

  it.each([
    ["disagreement is not guarded", { guards: { disagreement: false } }],
    ["nothing is shadowed", { shadowRate: 0, guards: { disagreement: false, cost: false } }],
  ] as const)("does not wait for comparisons when %s", (_, parts) => {
    const alone = planOf({ steps: [10, 100], minRequests: 200, ...parts });
    expect(decided({ plan: alone, stats: statsOf([fine]) }).action).toBe("advance");
  });

  it("is to roll back as soon as a guard is broken, before any minimum, with its numbers", () => {
    const stats = statsOf([[armOf(90), armOf(10)]], {
      items: 12,
      requests: 12,
      disagreements: 12,
      disagreeing: 12,
    });
    const { action, reason, findings } = decided({ stats, seconds: 1 });
    expect(action).toBe("roll_back");
    expect(reason).toContain("disagreement: 100 % of answers differ (12 of 12 items");
    expect(findings.map(({ guard, broken }) => [guard, broken])).toEqual([
      ["errors", false],
      ["latency", false],
      ["disagreement", true],
      ["cost", false],
    ]);
  });

  it("names every guard that is broken", () => {
    const stats = statsOf([[armOf(900), armOf(100, 100)]], {
      ...agreeing,
      units: { baseline: 100, candidate: 200 },
    });
    expect(decided({ stats }).reason).toMatch(/^errors: 100 % .+ cost: The candidate needs 200 /);
  });
});
