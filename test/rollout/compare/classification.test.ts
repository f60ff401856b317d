import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  compareClassifications,
  compareLabelTensors,
} from "../../../src/rollout/compare/classification.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";

const row = (scores: Record<string, number>) =>
  Object.entries(scores).map(([label, score]) => ({ label, score }));

const floats = (shape: number[], ...data: number[]): Tensor => ({
  datatype: "FP32",
  shape,
  data: Float32Array.from(data),
});

describe("compareClassifications", () => {
  it.each<[string, object[], object[], number, number]>([
    ["equal", row({ a: 0.7, b: 0.3 }), row({ a: 0.7, b: 0.3 }), 0, 0],
    ["of one order", row({ a: 0.7, b: 0.3 }), row({ a: 0.6, b: 0.4 }), 0.1, 0],
    ["of another order", row({ a: 0.6, b: 0.4 }), row({ b: 0.9, a: 0.1 }), 0.5, 1],
    ["of other labels, complete", row({ a: 1 }), row({ b: 1 }), 1, 1],
    ["cut, with one label in common", row({ a: 0.5, b: 0.2 }), row({ a: 0.3, c: 0.3 }), 0.2, 0],
    [
      "cut, where the open parts hold the other's labels",
      row({ a: 0.51 }),
      row({ b: 0.5 }),
      0.01,
      1,
    ],
    ["cut on one side", row({ a: 0.9 }), row({ a: 0.5, b: 0.3, c: 0.2 }), 0.4, 0],
    ["cut, with no room for the other's label", row({ a: 0.8 }), row({ b: 0.9 }), 0.7, 1],
    ["empty on one side", [], row({ a: 1 }), 1, 1],
    ["independent scores beyond 1", row({ a: 0.9, b: 0.9 }), row({ a: 0.9, b: 0.5 }), 0.2, 0],
    ["not readable", [{ label: 1, score: "high" }], row({ a: 1 }), 1, 1],
  ])("measures lists that are %s", (_, a, b, distance, flips) => {
    expect(compareClassifications([a], [b])).toEqual({
      kind: "classification",
      items: 1,
      flips,
      distances: [expect.closeTo(distance, 9)],
    });
  });

  it("never exceeds the total variation of the whole distributions, and meets it when nothing is cut", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(weights, weights, fc.integer({ min: 1, max: 6 }), (one, other, topK) => {
        const [p, q] = [one, other].map((list) => {
          const sum = list.reduce((total, weight) => total + weight, 0);
          return list.map((weight) => weight / sum);
        }) as [number[], number[]];
        const truth = p.reduce((sum, share, at) => sum + Math.abs(share - (q[at] ?? 0)) / 2, 0);
        const cut = (shares: number[]) =>
          shares
            .map((share, at) => ({ label: `label-${at}`, score: share }))
            .toSorted((a, b) => b.score - a.score)
            .slice(0, topK);
        const [distance = Number.NaN] = compareClassifications(cut(p), cut(q)).distances;
        expect(distance).toBeLessThanOrEqual(truth + 1e-9);
        const isWhole = topK === p.length;
        expect(distance).toBeGreaterThanOrEqual(isWhole ? truth - 1e-9 : 0);
      }),
    );
  });

  it("takes a list for one row, a list of lists for rows, and numbers for classes", () => {
    const [a, b] = [row({ a: 1 }), row({ b: 1 })];
    expect(compareClassifications(a, b)).toMatchObject({ items: 1, flips: 1 });
    expect(compareClassifications([a, a, b], [a, b, b])).toMatchObject({
      flips: 1,
      distances: [0, 1, 0],
    });
    expect(compareClassifications([0, 1, 2], [0, 2, 2])).toMatchObject({
      flips: 1,
      distances: [0, 1, 0],
    });
  });

  it("counts a row that is missing as a flip", () => {
    expect(compareClassifications([1, 1], [1])).toMatchObject({ flips: 1, distances: [0, 1] });
  });
});

describe("compareLabelTensors", () => {
  it.each<[string, Tensor, Tensor, number[], number]>([
    ["probabilities", floats([1, 3], 0.5, 0.25, 0.25), floats([1, 3], 0.25, 0.5, 0.25), [0.25], 1],
    ["logits", floats([1, 3], 8, -2, 0.5), floats([1, 3], 10, -2, 0), [0.5], 0],
    ["one row without a batch", floats([3], 1, 0, 0), floats([3], 0, 0, 1), [1], 1],
    ["NaN on both sides", floats([1, 3], NaN, 1, 2), floats([1, 3], NaN, 1, 2), [0], 0],
    ["a row of NaN on one side", floats([1, 3], NaN, NaN, NaN), floats([1, 3], 1, 0, 0), [1], 1],
    ["fewer rows", floats([2, 3], 1, 0, 0, 0, 1, 0), floats([1, 3], 1, 0, 0), [0, 1], 1],
    ["other labels", floats([1, 3], 1, 0, 0), floats([1, 4], 1, 0, 0, 0), [1], 1],
    [
      "another float type",
      floats([1, 3], 1, 0, 0),
      { datatype: "FP16", shape: [1, 3], data: Uint16Array.of(0x3800, 0x3800, 0) },
      [0.5],
      0,
    ],
  ])("compares rows of %s", (_, a, b, distances, flips) => {
    expect(compareLabelTensors({ y: a }, { y: b }, 3)).toEqual({
      kind: "classification",
      items: distances.length,
      flips,
      distances: distances.map((distance) => expect.closeTo(distance, 6)),
    });
  });

  it("passes over outputs that are no rows of floats", () => {
    const label: Tensor = { datatype: "INT64", shape: [3], data: BigInt64Array.of(1n, 2n, 3n) };
    const scalar = floats([], 1);
    expect(compareLabelTensors({ label, scalar }, { label, scalar }, 3)).toBeUndefined();
    const probabilities = floats([1, 3], 1, 0, 0);
    expect(compareLabelTensors({ label, probabilities }, { label }, 3)).toMatchObject({
      distances: [1],
      flips: 1,
    });
  });
});
