import { describe, expect, it } from "vitest";

import { compareEmbeddings } from "../../../src/rollout/compare/embedding.ts";

describe("compareEmbeddings", () => {
  it.each<[string, unknown[], unknown[], number]>([
    ["equal", [0.6, 0.8], [0.6, 0.8], 0],
    ["of one direction", [1, 2, 3], [10, 20, 30], 0],
    ["near", [0.6, 0.8], [0.8, 0.6], 0.04],
    ["at a right angle", [1, 0], [0, 5], 1],
    ["opposite", [1, -1], [-2, 2], 2],
    ["zero", [0, 0], [0, 0], 0],
    ["zero and minus zero", [0, -0], [-0, 0], 0],
    ["zero on one side", [0, 0], [1, 0], 1],
    ["huge", [1e300, 1e300], [1e300, 0], 1 - Math.SQRT1_2],
    ["tiny", [1e-300, 1e-300], [1e-300, 0], 1 - Math.SQRT1_2],
    ["of other lengths", [1, 0], [1, 0, 0], 1],
    ["not of numbers", [1, "0"], [1, 0], 1],
  ])("measures vectors that are %s", (_, a, b, distance) => {
    expect(compareEmbeddings(a, b)).toEqual({
      kind: "embedding",
      items: 1,
      flips: 0,
      distances: [expect.closeTo(distance, 9)],
    });
  });

  it("has a distance for each text, and 1 for one that is missing", () => {
    const a = [
      [1, 0],
      [0, 1],
      [1, 1],
    ];
    expect(compareEmbeddings(a, a.slice(0, 2))).toMatchObject({ flips: 0, distances: [0, 0, 1] });
    expect(compareEmbeddings([a[0]], a[0])).toMatchObject({ distances: [0] });
    expect(compareEmbeddings([], [])).toMatchObject({ items: 0, distances: [] });
  });
});
