import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { compareTexts, MAX_CODE_POINTS } from "../../../src/rollout/compare/text.ts";

const distance = (a: unknown, b: unknown) => compareTexts(a, b).distances[0];

describe("compareTexts", () => {
  it.each<[string, string, number]>([
    ["kitten", "sitting", 3 / 7],
    ["Saturday", "Sunday", 3 / 8],
    ["intention", "execution", 5 / 9],
    ["flaw", "lawn", 2 / 4],
    ["same", "same", 0],
    ["", "", 0],
    ["", "abc", 1],
    ["abc", "xyz", 1],
    ["aa", "aaa", 1 / 3],
    ["🙂🙃", "🙂", 1 / 2],
    ["é", "e\u0301", 1],
  ])("measures %j and %j", (a, b, expected) => {
    expect(compareTexts(a, b)).toEqual({
      kind: "text",
      items: 1,
      flips: 0,
      distances: [expect.closeTo(expected, 9)],
    });
  });

  it("reads texts, objects with a text, and arrays of either", () => {
    expect(compareTexts(["a", { text: "b" }, 3], [{ text: "a" }, "c"])).toMatchObject({
      distances: [0, 1, 1],
    });
  });

  it("keeps the triangle inequality of edits, and is symmetric", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "🙂"), maxLength: 8 });
    const edits = (a: string, b: string) =>
      (distance(a, b) ?? 0) * Math.max([...a].length, [...b].length);
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(edits(a, b)).toBeCloseTo(edits(b, a), 9);
        expect(edits(a, c)).toBeLessThanOrEqual(edits(a, b) + edits(b, c) + 1e-9);
      }),
    );
  });

  it("sees no more of a text than its limit, and less of each of many", () => {
    const start = "🙂".repeat(MAX_CODE_POINTS);
    expect(distance(`${start}a`, `${start}b`)).toBe(0);
    expect(distance(`${start.slice(2)}a`, `${start.slice(2)}b`)).toBe(1 / MAX_CODE_POINTS);
    const half = "a".repeat(MAX_CODE_POINTS / 2);
    const [many, others] = ["x", "y"].map((end) => Array.from({ length: 4 }, () => half + end));
    expect(compareTexts(many, others)).toMatchObject({ distances: [0, 0, 0, 0] });
  });
});
