import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { compareSegments } from "../../../src/rollout/compare/segments.ts";

type Times = readonly (readonly [start: number, end: number])[];

const segments = (...times: Times) =>
  times.map(([start, end]) => ({ label: "speech", score: 0.9, start, end }));

describe("compareSegments", () => {
  it.each<[string, unknown, unknown, number]>([
    ["silence", [], [], 0],
    ["speech and silence", segments([1, 2]), [], 1],
    ["equal times, whatever the scores", [{ start: 0, end: 1 }], segments([0, 1]), 0],
    ["a part", segments([0, 4]), segments([1, 2]), 0.75],
    ["an overlap", segments([0, 3]), segments([2, 4]), 0.75],
    ["one stretch cut in two", segments([0, 10]), segments([0, 4], [6, 10]), 0.2],
    ["several overlaps", segments([0, 2], [3, 5]), segments([1, 4]), 0.6],
    ["segments that overlap each other", segments([0, 2], [1, 3]), segments([0, 3]), 0],
    ["another order", segments([3, 4], [0, 1]), segments([0, 1], [3, 4]), 0],
    ["times that never meet", segments([0, 1]), segments([1, 2]), 1],
    ["with probabilities", { segments: segments([0, 2]) }, { segments: segments([0, 1]) }, 0.5],
    ["what can't be read", [{ start: "0", end: 1 }], segments([0, 1]), 1],
    ["a segment that ends before it starts", segments([1, 0]), segments([0, 1]), 1],
  ])("measures %s", (_, a, b, distance) => {
    expect(compareSegments(a, b)).toEqual({
      kind: "segments",
      items: 1,
      flips: 0,
      distances: [expect.closeTo(distance, 9)],
    });
  });

  it("agrees with counting second by second", () => {
    const times = fc.array(
      fc
        .tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 20 }))
        .map(([one, other]) => [Math.min(one, other), Math.max(one, other)] as const),
      { maxLength: 6 },
    );
    const spoken = (list: Times, second: number) =>
      list.some(([start, end]) => start <= second && second < end);
    fc.assert(
      fc.property(times, times, (a, b) => {
        let [both, either] = [0, 0];
        for (let second = 0; second < 20; second++) {
          const [one, other] = [spoken(a, second), spoken(b, second)];
          if (one && other) both++;
          if (one || other) either++;
        }
        expect(compareSegments(segments(...a), segments(...b)).distances).toEqual([
          expect.closeTo(either === 0 ? 0 : 1 - both / either, 9),
        ]);
      }),
    );
  });
});
