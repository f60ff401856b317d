import { describe, expect, it } from "vitest";

import { ERROR_CODES } from "../../src/errors.ts";
import { edgeState } from "../../src/routing/edge-state.ts";
import {
  afterEdgeFailure,
  afterOriginFailure,
  type EdgeState,
  place,
  type Placed,
  placeUnread,
  predictedMs,
  type Wishes,
} from "../../src/routing/placement.ts";
import type { HostStats } from "../../src/runtime/host.ts";
import { manifestOf } from "../support/manifests.ts";

const BOTH = [true, false];
const WISHES = [undefined, "edge", "origin"] as const;

/** Every combination of what placement looks at. */
function* everything(): Generator<[Wishes, EdgeState]> {
  for (const hasRoute of BOTH)
    for (const header of WISHES)
      for (const flag of WISHES)
        for (const hasEdgeBuild of BOTH)
          for (const fits of BOTH)
            for (const overLimit of BOTH)
              for (const isFailing of BOTH)
                for (const hasRoom of BOTH)
                  for (const predicted of [undefined, 10, 10.5])
                    for (const targetMs of [undefined, 10])
                      yield [
                        { hasRoute, header, flag, hasEdgeBuild, fits },
                        { overLimit, isFailing, hasRoom, predictedMs: predicted, targetMs },
                      ];
}
const CASES = [...everything()];

/** All of them that a rule speaks of, and where they are placed. */
function casesOf(speaksOf: (wishes: Wishes, state: EdgeState) => boolean) {
  const cases = CASES.filter(([wishes, state]) => speaksOf(wishes, state));
  if (cases.length === 0) throw new Error("The rule speaks of nothing.");
  return cases.map(([wishes, state]) => ({ wishes, state, placed: place(wishes, state) }));
}

const WISHED: Wishes = {
  hasRoute: true,
  header: undefined,
  flag: undefined,
  hasEdgeBuild: true,
  fits: true,
};
const EASY: EdgeState = {
  overLimit: false,
  isFailing: false,
  hasRoom: true,
  predictedMs: 5,
  targetMs: 10,
};

describe("place", () => {
  it("looks at 3,456 combinations", () => {
    expect(CASES).toHaveLength(2 * 3 * 3 * 2 ** 5 * 3 * 2);
  });

  it("never sends anything to the origin without a route", () => {
    for (const { placed } of casesOf(({ hasRoute }) => !hasRoute)) {
      expect(placed.placement).toBe("edge");
    }
  });

  it("does what the header says wherever there is a route", () => {
    const cases = casesOf(({ hasRoute, header }) => hasRoute && header !== undefined);
    for (const { placed, wishes } of cases) {
      expect(placed).toEqual({ placement: wishes.header, reason: "header" });
    }
  });

  it("keeps at the edge only what the edge can do, unless the header says so", () => {
    const cases = casesOf(
      ({ hasRoute, header, hasEdgeBuild, fits }, { overLimit, isFailing }) =>
        hasRoute && !header && (!hasEdgeBuild || !fits || overLimit || isFailing),
    );
    for (const { placed } of cases) expect(placed.placement).toBe("origin");
  });

  it("does what the flag says wherever the edge can", () => {
    const cases = casesOf(
      ({ hasRoute, header, flag, hasEdgeBuild, fits }, { overLimit, isFailing }) =>
        hasRoute && !header && !!flag && hasEdgeBuild && fits && !overLimit && !isFailing,
    );
    for (const { placed, wishes } of cases) {
      expect(placed).toEqual({ placement: wishes.flag, reason: "flag" });
    }
  });

  it("decides before the input is read exactly what the input can't change", () => {
    for (const { placed, wishes } of casesOf((all) => placeUnread(all) !== undefined)) {
      expect(placed).toEqual(placeUnread(wishes));
    }
    for (const { wishes } of casesOf((all) => placeUnread(all) === undefined)) {
      expect(place(wishes, EASY).placement).toBe("edge");
      expect(place(wishes, { ...EASY, overLimit: true }).placement).toBe("origin");
    }
  });

  it.each<[Placed["placement"], Placed["reason"], Partial<Wishes>, Partial<EdgeState>]>([
    ["edge", "default", {}, {}],
    ["edge", "default", { hasRoute: false, header: "origin" }, { overLimit: true }],
    ["edge", "header", { hasRoute: false, header: "edge" }, {}],
    ["edge", "flag", { hasRoute: false, flag: "edge" }, {}],
    ["edge", "default", { hasRoute: false, flag: "origin" }, {}],
    ["edge", "header", { header: "edge", hasEdgeBuild: false }, { overLimit: true }],
    ["origin", "header", { header: "origin" }, {}],
    ["origin", "no_edge_build", { hasEdgeBuild: false, fits: false, flag: "edge" }, {}],
    ["origin", "too_large", { fits: false, flag: "origin" }, {}],
    ["origin", "flag", { flag: "origin" }, { overLimit: true }],
    ["origin", "over_limit", { flag: "edge" }, { overLimit: true, isFailing: true }],
    ["origin", "edge_failed", { flag: "edge" }, { isFailing: true, hasRoom: false }],
    ["edge", "flag", { flag: "edge" }, { hasRoom: false, predictedMs: 99 }],
    ["origin", "no_room", {}, { hasRoom: false, predictedMs: 99 }],
    ["origin", "slow", {}, { predictedMs: 10.1 }],
    ["edge", "default", {}, { predictedMs: 10 }],
    ["edge", "default", {}, { predictedMs: 99, targetMs: undefined }],
    ["edge", "default", {}, { predictedMs: undefined }],
  ])("says %s, %s, to %j and %j", (placement, reason, wishes, state) => {
    expect(place({ ...WISHED, ...wishes }, { ...EASY, ...state })).toEqual({ placement, reason });
  });
});

describe("predictedMs", () => {
  it("adds up what a request and its units cost", () => {
    const costs = { msPerRequest: 2, msPerUnit: { tokens: 0.5, items: 1 } };
    expect(predictedMs(costs, { tokens: 100, items: 3, bytes: 9 })).toBe(55);
    expect(predictedMs({ msPerRequest: 2 }, { tokens: 100 })).toBe(2);
  });
});

describe("after a failure at the edge", () => {
  const placed: Placed = { placement: "edge", reason: "default" };

  it.each([
    ["batch_too_large", "over_limit"],
    ["input_too_long", "over_limit"],
    ["model_too_large", "too_large"],
    ["isolate_over_budget", "no_room"],
    ["out_of_memory", "no_room"],
    ["model_damaged", "edge_failed"],
    ["model_unavailable", "edge_failed"],
    ["model_load_failed", "edge_failed"],
    ["instance_trapped", "edge_failed"],
  ] as const)("%s goes to the origin: %s", (code, reason) => {
    expect(afterEdgeFailure(placed, code, WISHED)).toEqual({ placement: "origin", reason });
    expect(afterEdgeFailure(placed, code, { hasRoute: false })).toBeUndefined();
    expect(afterEdgeFailure({ ...placed, reason: "header" }, code, WISHED)).toBeUndefined();
    expect(afterEdgeFailure({ ...placed, reason: "origin_failed" }, code, WISHED)).toBeUndefined();
  });

  it("nothing else does", () => {
    const going = ERROR_CODES.filter((code) => afterEdgeFailure(placed, code, WISHED));
    expect(going).toHaveLength(9);
  });
});

describe("after a failure at the origin", () => {
  const REASONS = [
    "header",
    "flag",
    "no_edge_build",
    "too_large",
    "no_room",
    "over_limit",
    "slow",
    "edge_failed",
  ] as const;

  it("comes back what the edge would have done, when the pool fails", () => {
    for (const reason of REASONS) {
      const back = ERROR_CODES.filter((code) =>
        afterOriginFailure({ placement: "origin", reason }, code),
      );
      const edgeWouldDo = ["flag", "no_room", "slow"].includes(reason);
      expect(back).toEqual(
        edgeWouldDo
          ? ["origin_unavailable", "origin_overloaded", "origin_timeout", "origin_failed"]
          : [],
      );
    }
    expect(
      afterOriginFailure({ placement: "origin", reason: "slow" }, "origin_unavailable"),
    ).toEqual({ placement: "edge", reason: "origin_failed" });
  });
});

describe("edgeState", () => {
  const manifest = manifestOf({
    memory: { heapBytes: 50, taskBytes: 10 },
    edge: { targetMs: 7, msPerRequest: 1, msPerUnit: { tokens: 2 } },
  });
  const host = (models: readonly Partial<HostStats["models"][number]>[], isFree = false) => ({
    hasRoomFor: () => isFree,
    isFailing: () => false,
    stats: () => ({ budgetBytes: 100, models }) as unknown as HostStats,
  });
  const request = { overLimit: false, units: { tokens: 4 }, now: 0 };

  it.each<[boolean, string, ReturnType<typeof host>]>([
    [true, "what is free", host([], true)],
    [true, "what the idle ones would leave", host([{ bytes: 90, users: 0, state: "loaded" }])],
    [true, "what is left beside the busy", host([{ bytes: 40, users: 1, state: "loaded" }])],
    [false, "less than it needs beside the busy", host([{ bytes: 41, users: 1, state: "loaded" }])],
    [false, "less beside what loads", host([{ bytes: 41, users: 0, state: "loading" }])],
  ])("says %s to %s", (expected, _, given) => {
    expect(edgeState(given, manifest, request).hasRoom).toBe(expected);
  });

  it("predicts by the manifest's costs, where it has some", () => {
    const state = edgeState(host([]), manifest, request);
    expect(state).toMatchObject({ predictedMs: 9, targetMs: 7, overLimit: false });
    for (const edge of [undefined, false] as const) {
      const { edge: _, ...without } = manifest;
      const other = edge === undefined ? without : { ...without, edge };
      expect(edgeState(host([]), other, request)).toMatchObject({
        predictedMs: undefined,
        targetMs: undefined,
      });
    }
  });
});
