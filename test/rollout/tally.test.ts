import { describe, expect, it } from "vitest";

import type { UsageEvent } from "../../src/billing/usage-event.ts";
import { COMPARISON_KINDS } from "../../src/rollout/comparison.ts";
import { addEvent, DEFAULT_TOLERANCES, emptyStats, isFault } from "../../src/rollout/tally.ts";
import { BASELINE, planOf, requestOf, shadowOf } from "./support.ts";

const context = { plan: planOf(), baseline: BASELINE, stepCatalogs: [10, 12, 15] };

function tally(events: readonly UsageEvent[], parts: Partial<typeof context> = {}) {
  const stats = emptyStats();
  for (const event of events) addEvent(stats, event, { ...context, ...parts });
  return stats;
}

describe("a fault", () => {
  it.each([
    { outcome: "ok", status: 200, fault: false },
    { outcome: "invalid_input", status: 400, fault: false },
    { outcome: "inference_failed", status: 422, fault: false },
    { outcome: "out_of_memory", status: 503, fault: true },
    { outcome: "internal", status: 500, fault: true },
  ])("is $fault for $outcome ($status)", ({ fault, ...event }) => {
    expect(isFault(event)).toBe(fault);
  });
});

describe("requests", () => {
  it.each([
    { catalog: 10, step: 0 },
    { catalog: 11, step: 0 },
    { catalog: 12, step: 1 },
    { catalog: 14, step: 1 },
    { catalog: 99, step: 2 },
  ])("that catalog $catalog decided count at step $step", ({ catalog, step }) => {
    const stats = tally([requestOf({ catalog })]);
    expect(stats.steps.map(({ candidate }) => candidate.requests)).toEqual(
      Array.from({ length: step + 1 }, (_, at) => (at === step ? 1 : 0)),
    );
  });

  it.each([
    ["from before the rollout", { catalog: 9 }],
    ["of another version", { version: 1 }],
    ["that named their version", { flag: undefined, variant: undefined, reason: "EXPLICIT" }],
    ["whose flag failed", { variant: undefined, reason: "ERROR" }],
    ["that another flag decided", { flag: "ocr" }],
  ])("%s don't count", (_, parts) => {
    const { flag, variant, ...event } = { ...requestOf(), ...parts };
    const known = { ...event, ...(flag && { flag }), ...(variant && { variant }) };
    expect(tally([known])).toEqual(emptyStats());
  });

  it("count for their version, with their time by placement and start", () => {
    const { steps } = tally([
      requestOf(),
      requestOf({ start: "restored" }),
      requestOf({ placement: "origin" }),
      requestOf({ version: BASELINE, variant: "current" }),
    ]);
    expect(steps[0]?.candidate.requests).toBe(3);
    expect(steps[0]?.baseline.requests).toBe(1);
    expect(Object.keys(steps[0]?.candidate.latency ?? {})).toEqual([
      "edge/warm",
      "edge/restored",
      "origin/warm",
    ]);
  });

  it("that fail count as requests, and their time doesn't", () => {
    const { steps } = tally([
      requestOf({ outcome: "internal", status: 500 }),
      requestOf({ outcome: "invalid_input", status: 400 }),
    ]);
    expect(steps[0]?.candidate).toEqual({ requests: 2, errors: 1, latency: {} });
  });
});

describe("shadows", () => {
  it("count whichever version answered, and know whose units are whose", () => {
    const { comparisons } = tally([
      shadowOf({ units: { tokens: 6, bytes: 1 }, unitsAgainst: { tokens: 5 } }),
      shadowOf({
        version: BASELINE,
        against: context.plan.version,
        units: { tokens: 50 },
        unitsAgainst: { tokens: 60 },
      }),
    ]);
    expect(comparisons.units).toEqual({ baseline: 55, candidate: 67 });
    expect(comparisons.outcomes).toEqual({ compared: 2 });
  });

  it.each([
    ["from before the rollout", { catalog: 9 }],
    ["of another version", { version: 1 }],
    ["against another version", { against: 1 }],
  ])("%s don't count", (_, parts) => {
    expect(tally([shadowOf(parts)])).toEqual(emptyStats());
  });

  it("that compared nothing count by outcome only", () => {
    const { comparison: _, ...shadow } = shadowOf({ outcome: "skipped_busy" });
    const { comparisons } = tally([shadow]);
    expect(comparisons).toEqual({
      ...emptyStats().comparisons,
      outcomes: { skipped_busy: 1 },
    });
  });

  it.each(COMPARISON_KINDS.filter((kind) => kind !== "classification"))(
    "of kind %s disagree above its tolerance",
    (kind) => {
      const limit = DEFAULT_TOLERANCES[kind];
      const { comparisons } = tally([
        shadowOf({ comparison: { kind, items: 3, flips: 0, distances: [0, limit, limit * 1.01] } }),
      ]);
      expect(comparisons).toMatchObject({ items: 3, disagreements: 1, requests: 1 });
      expect(comparisons.disagreeing).toBeCloseTo(1 / 3);
      expect(comparisons.distances.count).toBe(3);
    },
  );

  it("of classifications disagree by their first label, however near their probabilities", () => {
    const { comparisons } = tally([
      shadowOf({
        comparison: { kind: "classification", items: 2, flips: 1, distances: [0.01, 0.9] },
      }),
    ]);
    expect(comparisons).toMatchObject({ flips: 1, disagreements: 1, disagreeing: 0.5 });
  });

  it("disagree above the plan's tolerance", () => {
    const plan = planOf({ guards: { disagreement: { tolerance: 0.3 } } });
    const comparison = { kind: "embedding", items: 2, flips: 0, distances: [0.2, 0.4] } as const;
    const { comparisons } = tally(
      [shadowOf({ comparison: { ...comparison, distances: [0.2, 0.4] } })],
      {
        plan,
      },
    );
    expect(comparisons.disagreements).toBe(1);
  });

  it("without items say nothing about agreement", () => {
    const { comparisons } = tally([
      shadowOf({ comparison: { kind: "boxes", items: 0, flips: 0, distances: [] } }),
    ]);
    expect(comparisons).toMatchObject({ outcomes: { compared: 1 }, items: 0, requests: 0 });
  });

  it("leave the ten inputs that are furthest apart, each once, the worst first", () => {
    const shadows = Array.from({ length: 40 }, (_, at) => {
      const distance = ((at * 7) % 20) / 100;
      return shadowOf({
        inputDigest: `input ${at % 20}`,
        requestId: `r${at}`,
        comparison: { kind: "embedding", items: 2, flips: 0, distances: [0, distance] },
      });
    });
    const { worst } = tally(shadows).comparisons;
    const distances = worst.map(({ distance }) => distance);
    expect(distances).toEqual([0.19, 0.18, 0.17, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1]);
    expect(new Set(worst.map(({ inputDigest }) => inputDigest)).size).toBe(10);
  });

  it("show the largest distance of an input that came again", () => {
    const again = [0.1, 0.3, 0.2].map((distance) =>
      shadowOf({ comparison: { kind: "embedding", items: 1, flips: 0, distances: [distance] } }),
    );
    expect(tally(again).comparisons.worst).toMatchObject([{ distance: 0.3, inputDigest: "aa" }]);
  });
});
