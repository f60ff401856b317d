import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { output, rankLabels } from "../../src/tasks/outputs.ts";
import { fp32, refusal } from "./support.ts";

describe("output", () => {
  const outputs = { y: fp32([1, 2, 3], [1, 3]) };

  it("gives the elements of an output that fits", () => {
    expect(output(outputs, "y", "FP32", 3)).toBe(outputs.y.data);
  });

  it.each([
    ["missing", () => output(outputs, "z", "FP32", 3)],
    ["of another datatype", () => output(outputs, "y", "INT64", 3)],
    ["too long", () => output(outputs, "y", "FP32", 2)],
    ["too short", () => output(outputs, "y", "FP32", 4)],
  ])("refuses one that is %s, and shows the caller nothing of the graph", (_, read) => {
    expect(read).toThrow(refusal("internal", undefined));
    expect(read).not.toThrow(/FP32|INT64|"y"/);
  });
});

describe("rankLabels", () => {
  const rank = (scores: number[], count: number, offset = 0) =>
    rankLabels(["a", "b", "c"], Float32Array.from(scores), offset, count);

  it("gives the best first, as many as are asked for", () => {
    expect(rank([0.25, 0.5, 0.125], 2)).toEqual([
      { label: "b", score: 0.5 },
      { label: "a", score: 0.25 },
    ]);
    expect(rank([0.25, 0.5, 0.125], 9)).toHaveLength(3);
  });

  it("keeps the labels' order among equal scores", () => {
    expect(rank([0.5, 0.5, 0.5], 3).map(({ label }) => label)).toEqual(["a", "b", "c"]);
    expect(rank([0.5, 0.5, 0.5], 1).map(({ label }) => label)).toEqual(["a"]);
  });

  it("reads the row that starts at the offset", () => {
    expect(rank([9, 9, 9, 0, 1, 2], 1, 3)).toEqual([{ label: "c", score: 2 }]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "refuses the score %d wherever it stands",
    (score) => {
      for (const scores of [
        [score, 1, 2],
        [2, 1, score],
      ]) {
        expect(() => rank(scores, 1)).toThrow(refusal("inference_failed", "inputs"));
      }
    },
  );

  it("refuses a row that is not there", () => {
    expect(() => rank([1, 2, 3], 1, 1)).toThrow(refusal("inference_failed", "inputs"));
  });

  it("is the head of a stable sort", () => {
    const scores = fc.array(fc.nat(6), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(scores, fc.integer({ min: 1, max: 60 }), (values, count) => {
        const labels = values.map((_, index) => `label ${index}`);
        const sorted = labels
          .map((label, index) => ({ label, score: values[index] ?? 0 }))
          .toSorted((a, b) => b.score - a.score);
        expect(rankLabels(labels, Float32Array.from(values), 0, count)).toEqual(
          sorted.slice(0, count),
        );
      }),
    );
  });
});
