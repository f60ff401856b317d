import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { decodeCtc, joined, parseCharacters } from "../../../src/tasks/text-recognition/ctc.ts";
import type { Rectangle } from "../../../src/tasks/text-recognition/geometry.ts";
import { readingOrder } from "../../../src/tasks/text-recognition/reading-order.ts";
import { wholeLines } from "../../../src/tasks/text-recognition/whole-lines.ts";
import { inkedPage, rectangle } from "./support.ts";

const CHARACTERS = parseCharacters(new TextEncoder().encode("a\nb\n，\n"));

describe("decodeCtc", () => {
  it.each([
    ["ab", [1, 2]],
    ["ab", [0, 1, 1, 1, 0, 2, 2, 0]],
    ["aa", [1, 0, 1]],
    ["a b", [1, 4, 4, 2]],
    ["", [0, 0, 0]],
    ["", []],
  ])("reads %j from %j", (text, classes) => {
    expect(
      decodeCtc(
        classes,
        classes.map(() => 1),
        CHARACTERS,
      ).text,
    ).toBe(text);
  });

  it("reads two numbers where a gap is to be seen between digits", () => {
    const digits = ["1", "2", "a"];
    const read = (classes: number[], from: number) =>
      decodeCtc(
        classes,
        classes.map(() => 1),
        digits,
        (start, end) => start < from && from < end,
      ).text;
    expect(read([1, 0, 0, 2, 1], 2)).toBe("1 21");
    expect(read([1, 2, 0, 0, 1], 3)).toBe("12 1");
    expect(read([1, 0, 0, 3, 1], 2)).toBe("1a1");
  });

  it("is as sure as it is of its characters, on average", () => {
    expect(decodeCtc([0, 1, 1, 2], [0.1, 0.9, 0.2, 0.5], CHARACTERS).score).toBeCloseTo(0.7);
    expect(decodeCtc([0], [1], CHARACTERS).score).toBe(0);
  });

  it("takes the signs of Chinese print for Latin ones among Latin letters only", () => {
    const signs = ["a", "，", "（", "文"];
    expect(decodeCtc([1, 2, 3], [1, 1, 1], signs).text).toBe("a,(");
    expect(decodeCtc([4, 2, 3], [1, 1, 1], signs).text).toBe("文，（");
  });
});

describe("joined", () => {
  it("puts a space where a line was cut between words, and none where there is one", () => {
    const piece = (text: string, spaced: boolean) => ({ text, score: 1, spaced });
    expect(joined([piece("one ", false), piece("two", true)]).text).toBe("one two");
    expect(joined([piece("one", false), piece("two", true)]).text).toBe("one two");
    expect(joined([piece("wo", false), piece("rd", false)]).text).toBe("word");
    expect(joined([])).toEqual({ text: "", score: 0 });
  });
});

/** Two columns of three rows, by number, as they stand on a page that is turned. */
function turnedPage(degrees: number): { readonly rectangle: Rectangle; readonly name: number }[] {
  const angle = (degrees * Math.PI) / 180;
  return [0, 1, 2, 3, 4, 5].map((name) => {
    const [x, y] = [(name % 2) * 300 - 150, Math.floor(name / 2) * 40 - 40];
    const centre = [
      500 + x * Math.cos(angle) - y * Math.sin(angle),
      500 + x * Math.sin(angle) + y * Math.cos(angle),
    ] as const;
    return { name, rectangle: rectangle(centre, 200, 30, degrees) };
  });
}

describe("readingOrder", () => {
  it("reads rows from the top and from the left, however the page is turned", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 359 }),
        fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }),
        (degrees, order) => {
          const page = turnedPage(degrees);
          const rows = readingOrder(order.flatMap((at) => page[at] ?? []));
          const names = rows.map((row) => row.map(({ name }) => name));
          expect(names).toEqual([
            [0, 1],
            [2, 3],
            [4, 5],
          ]);
        },
      ),
    );
  });

  it("takes an empty page", () => {
    expect(readingOrder([])).toEqual([]);
  });
});

describe("wholeLines", () => {
  const inked = inkedPage(600, 400, { left: 0, width: 0 });

  it.each([0, 5, -12])("joins parts that overlap along a line at %d degrees", (degrees) => {
    const angle = (degrees * Math.PI) / 180;
    const part = (shift: number, width: number) =>
      rectangle([200 + shift * Math.cos(angle), 200 + shift * Math.sin(angle)], width, 30, degrees);
    const lines = wholeLines(inked, [part(-100, 120), part(100, 120), part(0, 100)]);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.width).toBeCloseTo(320);
    expect(lines[0]?.height).toBeCloseTo(30);
  });

  it.each([
    ["the next line", rectangle([200, 235], 200, 30)],
    ["a word further on", rectangle([450, 200], 200, 30)],
    ["a heading across it", rectangle([200, 200], 200, 90)],
    ["a line across it", rectangle([200, 200], 200, 30, 40)],
  ])("leaves %s alone", (_title, other) => {
    expect(wholeLines(inked, [rectangle([200, 200], 200, 30), other])).toHaveLength(2);
  });

  it.each(["in order", "in reverse"])(
    "keeps two cells apart whose boxes overlap across a gap, each with its own letters, %s",
    (order) => {
      const page = inkedPage(600, 400, { left: 195, width: 10 });
      const cells = [rectangle([150, 200], 108, 30), rectangle([225, 200], 58, 30)];
      const lines = wholeLines(page, order === "in order" ? cells : cells.toReversed());
      const ends = lines
        .map(({ centre, width }) => [centre.x - width / 2, centre.x + width / 2])
        .toSorted(([a = 0], [b = 0]) => a - b);
      expect(ends).toHaveLength(2);
      expect(ends[0]?.[0]).toBeCloseTo(96);
      expect(ends[1]?.[1]).toBeCloseTo(254);
      // With a margin of 3 pixels they end at the middle of the gap.
      expect(Math.abs((ends[0]?.[1] ?? 0) - 197)).toBeLessThanOrEqual(1);
      expect(Math.abs((ends[1]?.[0] ?? 0) - 203)).toBeLessThanOrEqual(1);
    },
  );

  it("joins a word that is cut where no gap is to be seen", () => {
    const page = inkedPage(600, 400, { left: 199, width: 2 });
    const parts = [rectangle([150, 200], 108, 30), rectangle([225, 200], 58, 30)];
    expect(wholeLines(page, parts)).toHaveLength(1);
  });

  it("turns what is higher than wide", () => {
    const [line] = wholeLines(inked, [rectangle([50, 100], 30, 150)]);
    expect(line).toMatchObject({ width: 150, height: 30, along: { x: -0, y: 1 } });
  });
});
