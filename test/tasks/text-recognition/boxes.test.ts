import { describe, expect, it } from "vitest";

import { type TextMap, textBoxes } from "../../../src/tasks/text-recognition/boxes.ts";
import type { Rectangle } from "../../../src/tasks/text-recognition/geometry.ts";
import { rectangle } from "./support.ts";

/** A map on which the detector is this sure of each rectangle. */
function mapOf(rectangles: readonly Rectangle[], probability = 0.9): TextMap {
  const [width, height] = [200, 120];
  const data = new Float32Array(width * height);
  for (const { centre, along, down, width: w, height: h } of rectangles) {
    for (let at = 0; at < data.length; at++) {
      const [dx, dy] = [(at % width) + 0.5 - centre.x, Math.floor(at / width) + 0.5 - centre.y];
      const isInside =
        Math.abs(dx * along.x + dy * along.y) <= w / 2 &&
        Math.abs(dx * down.x + dy * down.y) <= h / 2;
      if (isInside) data[at] = probability;
    }
  }
  return { width, height, data };
}

describe("textBoxes", () => {
  it.each([0, 8, -25])("finds a line that lies at %d degrees, larger than its map", (degrees) => {
    const [box, ...others] = textBoxes(mapOf([rectangle([100, 60], 120, 10, degrees)]));
    expect(others).toEqual([]);
    // 1.6 times the area by the perimeter more on each side: 7.4 pixels.
    expect(box?.width).toBeCloseTo(134.8, -1);
    expect(Math.abs((box?.height ?? 0) - 24.8)).toBeLessThan(4);
    expect(Math.abs((box?.centre.x ?? 0) - 100)).toBeLessThan(1);
    expect(Math.atan2(box?.along.y ?? 1, box?.along.x ?? 0)).toBeCloseTo(
      (degrees * Math.PI) / 180,
      1,
    );
  });

  it("tells lines apart that do not touch", () => {
    const lines = [rectangle([60, 30], 80, 10), rectangle([60, 50], 80, 10)];
    expect(textBoxes(mapOf(lines))).toHaveLength(2);
  });

  it.each([
    ["is not sure of", mapOf([rectangle([100, 60], 100, 10)], 0.5)],
    ["does not see", mapOf([rectangle([100, 60], 100, 10)], 0.2)],
    ["sees in a dot", mapOf([rectangle([100, 60], 2, 2)])],
    ["sees nowhere", mapOf([])],
  ])("leaves out what the detector %s", (_title, map) => {
    expect(textBoxes(map)).toEqual([]);
  });
});
