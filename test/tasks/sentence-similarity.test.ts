import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { comparedField, comparedTexts, cosines } from "../../src/tasks/sentence-similarity.ts";

describe("cosines", () => {
  it("are none where there is nothing to compare with", () => {
    expect(cosines([])).toEqual([]);
    expect(cosines([Float32Array.of(1)])).toEqual([]);
  });

  it("lie between -1 and 1, and are 1 with the same direction", () => {
    const vector = fc
      .array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 })
      .map((values) => Float32Array.from(values))
      .filter((values) => Math.hypot(...values) > 0.001)
      .map((values) => values.map((value) => value / Math.hypot(...values)));
    fc.assert(
      fc.property(vector, vector, (a, b) => {
        const [same = 0, other = 0] = cosines([a, a, b]);
        expect(same).toBeCloseTo(1, 6);
        expect(Math.abs(other)).toBeLessThanOrEqual(1);
        expect(cosines([b, a])[0]).toBe(other);
      }),
    );
  });
});

describe("comparedTexts", () => {
  it("names each text as the request does", () => {
    const texts = comparedTexts({ source_sentence: "a", sentences: ["b", "c"] }, 3);
    expect(texts.map((text, index) => [text, comparedField(index)])).toEqual([
      ["a", "inputs.source_sentence"],
      ["b", "inputs.sentences[0]"],
      ["c", "inputs.sentences[1]"],
    ]);
  });
});
