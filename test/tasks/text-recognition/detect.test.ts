import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { scaleOf } from "../../../src/tasks/text-recognition/detect.ts";
import { tilePixels } from "../../../src/tasks/text-recognition/tiles.ts";

const DETECTION = { pageSide: 896, tileSide: 320 };
const PAGE_PIXELS = 9 * 320 * 320;

describe("scaleOf", () => {
  it.each([
    ["a page", 1_600, 1_400, 896 / 1_600],
    ["a small page", 800, 500, 1],
    ["a strip", 8_000, 60, 1],
    ["a strip that stands", 60, 8_000, 1],
    ["a strip that is higher than a square", 2_000, 640, 0.5],
  ])("sees %s as large as its text needs", (_title, width, height, scale) => {
    expect(scaleOf({ width, height }, DETECTION)).toBeCloseTo(scale);
  });

  it("shrinks no page below its longer side, and has no more read than a whole page", () => {
    const side = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(side, side, (width, height) => {
        const scale = scaleOf({ width, height }, DETECTION);
        expect(scale * Math.max(width, height)).toBeGreaterThanOrEqual(
          Math.min(896, Math.max(width, height)) - 1e-6,
        );
        const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
        expect(tilePixels(size, DETECTION.tileSide)).toBeLessThanOrEqual(1.1 * PAGE_PIXELS);
      }),
    );
  });
});
