import { describe, expect, it } from "vitest";

import { evaluateGuards, type GuardFinding } from "../../src/rollout/guards.ts";
import type { RolloutStats } from "../../src/rollout/stats.ts";
import { emptyStats } from "../../src/rollout/tally.ts";
import { armOf, planOf, statsOf } from "./support.ts";

function find(
  guard: GuardFinding["guard"],
  stats: RolloutStats,
  plan = planOf({ steps: [10, 50, 100] }),
): GuardFinding {
  const finding = evaluateGuards(plan, stats).find((one) => one.guard === guard);
  if (finding === undefined) throw new Error(`no finding of ${guard}`);
  return finding;
}

const compared = (requests: number, disagreeing: number) =>
  statsOf([], {
    items: requests,
    requests,
    disagreeing,
    disagreements: disagreeing,
    outcomes: { compared: requests },
  });

describe("guards", () => {
  it("find nothing, and say so, before there is anything to see", () => {
    for (const { broken, sentence } of evaluateGuards(planOf(), emptyStats())) {
      expect(broken).toBe(false);
      expect(sentence).toMatch(/yet|of the 30/);
    }
  });

  it("that are left out are not asked, and the others get their part of the false alarms", () => {
    const guards = { errors: false, latency: false, cost: false } as const;
    const [alone, ...others] = evaluateGuards(planOf({ guards }), emptyStats());
    expect(others).toEqual([]);
    expect(alone).toMatchObject({ guard: "disagreement", needed: 100 });
    expect(find("disagreement", emptyStats()).needed).toBeCloseTo(300);
  });

  it("write numbers that JSON can hold", () => {
    const dead = statsOf([[armOf(9_000), armOf(1_000, 1_000)]]);
    const findings = evaluateGuards(planOf({ guards: { disagreement: { share: 0 } } }), dead);
    expect(JSON.parse(JSON.stringify(findings))).toEqual(findings);
  });
});

describe("the errors guard", () => {
  it.each([
    { what: "as many fail", baseline: 45, candidate: 5, broken: false },
    { what: "1.5 times as many fail", baseline: 450, candidate: 75, broken: false },
    { what: "five times as many fail", baseline: 45, candidate: 25, broken: true },
    { what: "only the candidate's fail", baseline: 0, candidate: 20, broken: true },
    { what: "one fails", baseline: 0, candidate: 1, broken: false },
    { what: "fewer fail", baseline: 450, candidate: 0, broken: false },
  ])("says $broken when $what", ({ baseline, candidate, broken }) => {
    const stats = statsOf([[armOf(9_000, baseline), armOf(1_000, candidate)]]);
    expect(find("errors", stats).broken).toBe(broken);
  });

  it("does not mind a difference below `least`, however certain it is", () => {
    const stats = statsOf([[armOf(1e7, 1_000), armOf(1e7, 5_000)]]);
    const finding = find("errors", stats);
    expect(finding.evidence).toBe(1e12);
    expect(finding.broken).toBe(false);
  });

  it("adds up the evidence of steps, none of which would do", () => {
    const step = [armOf(9_000, 45), armOf(1_000, 15)] as const;
    expect(find("errors", statsOf([step])).broken).toBe(false);
    const plan = planOf({ steps: [10, 11, 12, 13, 14, 15, 16, 100] });
    const steps = Array.from({ length: 7 }, () => step);
    expect(find("errors", statsOf(steps), plan).broken).toBe(true);
  });

  it("is not misled by an outage that hits both while the candidate's share is large", () => {
    const stats = statsOf([
      [armOf(90_000, 90), armOf(10_000, 10)],
      [armOf(5_000, 2_500), armOf(5_000, 2_500)],
    ]);
    const finding = find("errors", stats);
    expect(finding.broken).toBe(false);
    expect(finding.observed.candidate).toBeCloseTo(finding.observed.baseline ?? 0);
  });

  it("goes by what the baseline can have had at most once the candidate is alone", () => {
    const before = [armOf(10_000, 50), armOf(10_000, 50)] as const;
    const alone = (errors: number) =>
      find("errors", statsOf([before, before, [armOf(0), armOf(1_000, errors)]]));
    expect(alone(5).broken).toBe(false);
    expect(alone(8).broken).toBe(false);
    expect(alone(60).broken).toBe(true);
    expect(alone(60).sentence).toContain("at 100 %");
  });

  it("keeps what it found beside the baseline when the candidate is alone", () => {
    const bad = [armOf(9_000, 45), armOf(1_000, 25)] as const;
    const plan = planOf({ steps: [10, 100] });
    expect(find("errors", statsOf([bad, [armOf(0), armOf(500, 2)]]), plan).broken).toBe(true);
  });

  it("lets a candidate be as bad as its baseline, even where most requests fail", () => {
    const half = [armOf(1_000, 600), armOf(1_000, 605)] as const;
    const stats = statsOf([half, half, [armOf(0), armOf(10_000, 6_100)]]);
    expect(find("errors", stats).broken).toBe(false);
  });

  it("stops a version that fails most of the time, even if its baseline was never seen", () => {
    const plan = planOf({ steps: [100] });
    expect(find("errors", statsOf([[armOf(0), armOf(100, 40)]]), plan).broken).toBe(false);
    expect(find("errors", statsOf([[armOf(0), armOf(100, 95)]]), plan).broken).toBe(true);
  });

  it("says its numbers", () => {
    const stats = statsOf([[armOf(9_000, 45), armOf(1_000, 25)]]);
    expect(find("errors", stats).sentence).toMatch(
      /^2\.5 % of the candidate's 1,000 requests failed, 0\.5 % of the baseline's; up to 0\.75 % is allowed; evidence [\d,.]+ of 400\.$/,
    );
  });
});

describe("the latency guard", () => {
  const usual = { 10: 900, 20: 100 };

  it.each([
    { what: "equal times", times: { 10: 90, 20: 10 }, broken: false },
    { what: "times within the ratio", times: { 10: 80, 25: 20 }, broken: false },
    { what: "times twice as long", times: { 20: 90, 40: 10 }, broken: true },
    { what: "few slow ones", times: { 10: 97, 400: 3 }, broken: false },
    { what: "faster ones", times: { 1: 100 }, broken: false },
  ])("says $broken for $what", ({ times, broken }) => {
    const stats = statsOf([
      [armOf(1_000, 0, { "edge/warm": usual }), armOf(100, 0, { "edge/warm": times })],
    ]);
    expect(find("latency", stats).broken).toBe(broken);
  });

  it("does not compare cold starts with warm answers", () => {
    const stats = statsOf([
      [
        armOf(1_100, 0, { "edge/warm": usual, "edge/loaded": { 400: 100 } }),
        armOf(100, 0, { "edge/loaded": { 400: 90 }, "edge/warm": { 10: 10 } }),
      ],
    ]);
    expect(find("latency", stats).broken).toBe(false);
  });

  it("finds slow cold starts behind warm answers that are as fast as ever", () => {
    const stats = statsOf([
      [
        armOf(2_000, 0, { "edge/warm": usual, "edge/loaded": { 400: 500 } }),
        armOf(500, 0, { "edge/warm": { 10: 360, 20: 40 }, "edge/loaded": { 900: 40 } }),
      ],
    ]);
    const finding = find("latency", stats);
    expect(finding.broken).toBe(true);
    expect(finding.sentence).toContain("(edge/loaded)");
  });

  it("waits for enough of the baseline's answers", () => {
    const stats = statsOf([
      [armOf(50, 0, { "edge/warm": { 10: 50 } }), armOf(500, 0, { "edge/warm": { 100: 500 } })],
    ]);
    expect(find("latency", stats)).toMatchObject({ broken: false, observed: {} });
  });

  it("is not misled by a slow hour of both while the candidate's share is large", () => {
    const stats = statsOf([
      [
        armOf(9_000, 0, { "edge/warm": { 10: 8_000, 20: 1_000 } }),
        armOf(100, 0, { "edge/warm": { 10: 90, 20: 10 } }),
      ],
      [armOf(500, 0, { "edge/warm": { 100: 500 } }), armOf(500, 0, { "edge/warm": { 100: 500 } })],
    ]);
    expect(find("latency", stats)).toMatchObject({ broken: false });
  });
});

describe("the disagreement guard", () => {
  it.each([
    { requests: 1_000, disagreeing: 20, broken: false },
    { requests: 200, disagreeing: 20, broken: true },
    { requests: 20, disagreeing: 1, broken: false },
    { requests: 10, disagreeing: 10, broken: true },
    { requests: 0, disagreeing: 0, broken: false },
  ])("says $broken at $disagreeing of $requests", ({ requests, disagreeing, broken }) => {
    expect(find("disagreement", compared(requests, disagreeing)).broken).toBe(broken);
  });

  it("counts a request of a hundred rows as one observation", () => {
    const stats = statsOf([], { items: 100, disagreements: 100, requests: 1, disagreeing: 1 });
    expect(find("disagreement", stats).broken).toBe(false);
  });

  it("says its numbers", () => {
    expect(find("disagreement", compared(1_000, 20)).sentence).toMatch(
      /^2 % of answers differ \(20 of 1,000 items in 1,000 shadows\); 2 % is allowed; evidence .+ of 300\.$/,
    );
  });
});

describe("the cost guard", () => {
  it.each([
    { shadows: 30, candidate: 119, broken: false },
    { shadows: 30, candidate: 121, broken: true },
    { shadows: 29, candidate: 500, broken: false },
  ])("says $broken for $candidate units against 100 in $shadows shadows", (row) => {
    const stats = statsOf([], {
      outcomes: { compared: row.shadows, failed: 50 },
      units: { baseline: 100, candidate: row.candidate },
    });
    expect(find("cost", stats).broken).toBe(row.broken);
  });

  it("has nothing to say about a version without units", () => {
    const stats = statsOf([], { outcomes: { compared: 40 }, units: { baseline: 0, candidate: 5 } });
    expect(find("cost", stats)).toMatchObject({
      broken: false,
      observed: { baseline: 0, candidate: 5 },
    });
  });
});
