import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { cornersOf, leastRectangle, turned } from "../../../src/tasks/text-recognition/geometry.ts";
import { rectangle } from "./support.ts";

const rounded = (value: object): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, part: unknown) =>
      typeof part === "number" ? Math.round(part * 1e6) / 1e6 + 0 : part,
    ),
  );

describe("leastRectangle", () => {
  it("finds a rectangle again from points within it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -40, max: 40 }),
        fc.integer({ min: 30, max: 200 }),
        fc.integer({ min: 5, max: 25 }),
        (degrees, width, height) => {
          const wanted = rectangle([100, 80], width, height, degrees);
          const inner = cornersOf({ ...wanted, width: width / 2, height: height / 3 });
          const found = leastRectangle([...inner, ...cornersOf(wanted)]);
          expect(rounded(found)).toEqual(rounded(wanted));
        },
      ),
    );
  });

  it("takes a single point, and points on a line", () => {
    expect(leastRectangle([{ x: 3, y: 4 }])).toMatchObject({ width: 0, height: 0 });
    const line = leastRectangle([
      { x: 0, y: 0 },
      { x: 3, y: 4 },
      { x: 6, y: 8 },
    ]);
    expect(Math.max(line.width, line.height)).toBeCloseTo(10);
  });
});

describe("turned", () => {
  it("starts a quarter further, and is what it was after four of them", () => {
    const one = rectangle([10, 10], 8, 4);
    const [, second] = cornersOf(one);
    expect(rounded(cornersOf(turned(one, "left"))[0] ?? {})).toEqual(rounded(second ?? {}));
    const four = [1, 2, 3, 4].reduce((seen) => turned(seen, "left"), one);
    expect(rounded(four)).toEqual(rounded(one));
    const twice = turned(turned(one, "left"), "left");
    expect(rounded(turned(one, "over"))).toEqual(rounded(twice));
  });
});
