import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { turned } from "../../../src/tasks/text-recognition/geometry.ts";
import {
  cutOut,
  LINE_HEIGHT,
  type Line,
  lineWidth,
  stacked,
} from "../../../src/tasks/text-recognition/line.ts";
import { piecesOf } from "../../../src/tasks/text-recognition/pieces.ts";
import { blankPage, rectangle } from "./support.ts";

/** A page on which every pixel has another colour. */
function colourfulPage(width: number, height: number) {
  const page = blankPage(width, height);
  for (let at = 0; at < width * height; at++) page.data.set([at % 251, at % 241, at % 239], at * 4);
  return page;
}

const pixelOf = ({ width, data }: Line, x: number, y: number) => [
  ...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4),
];

describe("cutOut", () => {
  const page = colourfulPage(100, 100);
  const box = rectangle([50, 50], 80, LINE_HEIGHT);

  it("copies a line that lies level and has the right size", () => {
    const line = cutOut(page, box);
    expect(line.width).toBe(80);
    for (const [x, y] of [
      [0, 0],
      [79, 0],
      [40, 20],
      [79, 47],
    ] as const) {
      const at = ((y + 26) * 100 + x + 10) * 4;
      expect(pixelOf(line, x, y)).toEqual([...page.data.subarray(at, at + 4)]);
    }
  });

  it("turns what stands on its head, or runs up the page", () => {
    const line = cutOut(page, box);
    expect(pixelOf(cutOut(page, turned(box, "over")), 0, 0)).toEqual(pixelOf(line, 79, 47));
    const upended = { ...rectangle([50, 50], LINE_HEIGHT, 80) };
    const at = (10 * 100 + 73) * 4;
    expect(pixelOf(cutOut(page, turned(upended, "left")), 0, 0)).toEqual([
      ...page.data.subarray(at, at + 4),
    ]);
  });

  it("is the mean of what it shrinks, and goes on beyond the page", () => {
    const stripes = blankPage(400, 400);
    for (let at = 0; at < 400 * 400; at += 2) stripes.data.set([0, 0, 0], at * 4);
    const line = cutOut(stripes, rectangle([200, 200], 400, 384));
    expect(line.width).toBe(50);
    expect(Math.abs((pixelOf(line, 20, 20)[0] ?? 0) - 128)).toBeLessThan(4);
    expect(pixelOf(cutOut(blankPage(4, 4), rectangle([2, 2], 40, 40)), 0, 0)).toEqual([
      255, 255, 255, 255,
    ]);
  });

  it("says the width of a line before it is cut", () => {
    expect(lineWidth(rectangle([0, 0], 300, 30))).toBe(480);
    expect(lineWidth(rectangle([0, 0], 0.1, 30))).toBe(1);
  });
});

describe("stacked", () => {
  it("fills lines up with grey", () => {
    const line = { width: 1, data: new Uint8Array(LINE_HEIGHT * 4).fill(7) };
    const pixels = stacked([line, line], 2);
    expect(pixels).toHaveLength(2 * LINE_HEIGHT * 2 * 4);
    expect([...pixels.subarray(0, 8)]).toEqual([7, 7, 7, 7, 128, 128, 128, 128]);
  });
});

describe("piecesOf", () => {
  /** White, with a black stroke in every column that is none of these. */
  function lineOf(width: number, isBlank: (column: number) => boolean): Line {
    const data = new Uint8Array(width * LINE_HEIGHT * 4).fill(255);
    for (let x = 0; x < width; x++) {
      if (!isBlank(x)) data.fill(0, (20 * width + x) * 4, (20 * width + x) * 4 + 3);
    }
    return { width, data };
  }

  it("leaves a line alone that is narrow enough", () => {
    const line = lineOf(960, () => false);
    expect(piecesOf(line, 960)).toEqual([{ line, spaced: false }]);
  });

  it("cuts at a gap between words, and says that a space was there", () => {
    const pieces = piecesOf(
      lineOf(1400, (x) => x >= 720 && x < 740),
      960,
    );
    expect(pieces.map(({ line, spaced }) => [line.width, spaced])).toEqual([
      [730, false],
      [670, true],
    ]);
  });

  it("cuts letters apart where there is no gap, without a space", () => {
    const pieces = piecesOf(
      lineOf(1400, () => false),
      960,
    );
    expect(pieces.map(({ spaced }) => spaced)).toEqual([false, false]);
  });

  it("cuts any line into pieces that are narrow enough and lose no column", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6000 }), fc.integer({ min: 5, max: 90 }), (w, word) => {
        const pieces = piecesOf(
          lineOf(w, (x) => x % word < 4),
          960,
        );
        const widths = pieces.map(({ line }) => line.width);
        expect(widths.reduce((sum, width) => sum + width, 0)).toBe(w);
        expect(Math.max(...widths)).toBeLessThanOrEqual(960);
        expect(Math.min(...widths)).toBeGreaterThan(0);
      }),
      { numRuns: 30 },
    );
  });
});
