import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { layOn, pixelsOfTile, tilesOf } from "../../../src/tasks/text-recognition/tiles.ts";
import { blankPage } from "./support.ts";

const SIDE = 320;

describe("tilesOf", () => {
  it("covers every page, each neighbour overlapping by 32 pixels at least", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 2000 }), (w, h) => {
        const tiles = tilesOf({ ...blankPage(1, 1), width: w, height: h }, SIDE);
        for (const [length, starts, side] of [
          [w, new Set(tiles.map(({ left }) => left)), tiles[0]?.width ?? 0],
          [h, new Set(tiles.map(({ top }) => top)), tiles[0]?.height ?? 0],
        ] as const) {
          expect(side % 32).toBe(0);
          expect(side).toBeLessThanOrEqual(SIDE);
          const sorted = [...starts].toSorted((a, b) => a - b);
          expect(sorted[0]).toBe(0);
          expect((sorted.at(-1) ?? 0) + side).toBeGreaterThanOrEqual(length);
          const overlaps = sorted
            .slice(1)
            .map((start, index) => (sorted[index] ?? 0) + side - start);
          expect(overlaps.every((overlap) => overlap >= 32)).toBe(true);
        }
      }),
    );
  });
});

describe("pixelsOfTile", () => {
  const tile = { left: 30, top: 20, width: 32, height: 32 };

  it("is not there where nothing is written", () => {
    expect(pixelsOfTile(blankPage(100, 100), tile)).toBeUndefined();
  });

  it("holds the page's pixels, and white beyond its edge", () => {
    const page = blankPage(50, 40);
    page.data.fill(0, (25 * 50 + 40) * 4, (25 * 50 + 40) * 4 + 3);
    const pixels = pixelsOfTile(page, tile);
    const black = (5 * 32 + 10) * 4;
    expect([...(pixels?.subarray(black, black + 8) ?? [])]).toEqual([
      0, 0, 0, 255, 255, 255, 255, 255,
    ]);
    expect(pixels?.at(-1)).toBe(255);
  });
});

describe("layOn", () => {
  it("keeps the larger of what two tiles say, and nothing beyond the page", () => {
    const map = { width: 40, height: 32, data: new Float32Array(40 * 32) };
    layOn(map, { left: 0, top: 0, width: 32, height: 32 }, new Float32Array(32 * 32).fill(0.5));
    layOn(map, { left: 20, top: 0, width: 32, height: 32 }, new Float32Array(32 * 32).fill(0.25));
    expect([19, 20, 31, 32, 39].map((x) => map.data[x])).toEqual([0.5, 0.5, 0.5, 0.25, 0.25]);
  });
});
