import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { compareBoxes } from "../../../src/rollout/compare/boxes.ts";

const box = (xmin: number, ymin: number, xmax: number, ymax: number) => ({
  box: { xmin, ymin, xmax, ymax },
  text: "text",
});

describe("compareBoxes", () => {
  it.each<[string, unknown, unknown, number]>([
    ["nothing and nothing", [[]], [[]], 0],
    ["a box and nothing", [[box(0, 0, 1, 1)]], [[]], 1],
    ["equal boxes", [box(0, 0, 2, 2)], [{ ...box(0, 0, 2, 2), text: "another" }], 0],
    ["a quarter", [box(0, 0, 2, 2)], [box(0, 0, 1, 1)], 0.75],
    ["an overlap of one in seven", [box(0, 0, 2, 2)], [box(1, 1, 3, 3)], 6 / 7],
    ["boxes that touch", [box(0, 0, 1, 1)], [box(1, 0, 2, 1)], 1],
    ["a box too many", [box(0, 0, 1, 1)], [box(0, 0, 1, 1), box(5, 5, 6, 6)], 0.5],
    ["another order", [box(0, 0, 1, 1), box(5, 5, 6, 6)], [box(5, 5, 6, 6), box(0, 0, 1, 1)], 0],
    ["the best pair first", [box(0, 0, 4, 1)], [box(0, 0, 2, 1), box(0, 0, 3, 1)], 1 - 0.75 / 2],
    [
      "equal lines",
      [box(0, 0, 4, 0)],
      [
        {
          box: [
            [0, 0],
            [4, 0],
          ],
        },
      ],
      0,
    ],
    [
      "a polygon by its bounds",
      [
        {
          box: [
            [1, 0],
            [2, 1],
            [1, 2],
            [0, 1],
          ],
        },
      ],
      [box(0, 0, 2, 2)],
      0,
    ],
    ["what can't be read", [{ box: "here" }], [box(0, 0, 1, 1)], 1],
  ])("measures %s", (_, a, b, distance) => {
    expect(compareBoxes(a, b)).toEqual({
      kind: "boxes",
      items: 1,
      flips: 0,
      distances: [expect.closeTo(distance, 9)],
    });
  });

  it("has a distance for each image", () => {
    const image = [box(0, 0, 1, 1)];
    expect(compareBoxes([image, [], image], [image, image])).toMatchObject({
      items: 3,
      distances: [0, 1, 1],
    });
  });

  it("is symmetric, and 0 for the same boxes in any order, however they lie", () => {
    const coordinate = fc.integer({ min: 0, max: 4 });
    const boxes = fc.array(
      fc.tuple(coordinate, coordinate, coordinate, coordinate).map((corners) => box(...corners)),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(boxes, boxes, (a, b) => {
        const [distance = Number.NaN] = compareBoxes(a, b).distances;
        expect(compareBoxes(b, a).distances).toEqual([expect.closeTo(distance, 9)]);
        expect(compareBoxes(a, a.toReversed()).distances).toEqual([0]);
      }),
    );
  });
});
