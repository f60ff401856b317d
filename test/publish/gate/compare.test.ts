import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  compareOutputs,
  failuresOf,
  thresholdsFor,
  worseOf,
} from "../../../src/publish/gate/compare.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";

const floats = (shape: number[], ...data: number[]): Tensor => ({
  datatype: "FP32",
  shape,
  data: Float32Array.from(data),
});

describe("compareOutputs", () => {
  it("finds nothing between equal outputs, whatever is in them", () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 2, maxLength: 40 }), (data) => {
        const y: Tensor = { datatype: "FP32", shape: [data.length], data: data.slice() };
        expect(compareOutputs({ y }, { y })).toEqual({
          cosine: expect.closeTo(1, 9),
          largestDifference: 0,
          classAgreement: 1,
          equality: 1,
        });
      }),
    );
  });

  it("takes the worst row, not the mean", () => {
    const expected = floats([2, 2], 1, 0, 0, 1);
    const seen = floats([2, 2], 1, 0, 1, 0);
    expect(compareOutputs({ y: seen }, { y: expected })).toEqual({
      cosine: 0,
      largestDifference: 1,
      classAgreement: 0.5,
      equality: 1,
    });
  });

  it("measures large values by their size", () => {
    const { largestDifference } = compareOutputs(
      { y: floats([2], 1010, 0.5) },
      { y: floats([2], 1000, 0.75) },
    );
    expect(largestDifference).toBeCloseTo(0.25);
  });

  it("minds the direction of small outputs, and not of what is nearly zero beside the largest", () => {
    const tiny = compareOutputs({ y: floats([1, 2], 2e-9, 0) }, { y: floats([1, 2], 0, 3e-9) });
    expect(tiny.cosine).toBeCloseTo(0);
    const beside = compareOutputs(
      { y: floats([2, 2], 1, 1, 2e-9, 0) },
      { y: floats([2, 2], 1, 1, 0, 3e-9) },
    );
    expect(beside.cosine).toBeCloseTo(1);
  });

  it("takes a NaN for a NaN, and nothing else for one", () => {
    expect(
      compareOutputs({ y: floats([1, 2], Number.NaN, 1) }, { y: floats([1, 2], Number.NaN, 1) }),
    ).toMatchObject({ cosine: 1, largestDifference: 0 });
    const { cosine, largestDifference } = compareOutputs(
      { y: floats([1, 2], 0, 1) },
      { y: floats([1, 2], Number.NaN, 1) },
    );
    expect([cosine, largestDifference]).toEqual([-1, Number.MAX_VALUE]);
  });

  it.each<[string, Record<string, Tensor>]>([
    ["missing", {}],
    ["of another shape", { y: floats([2, 1], 1, 2) }],
    ["of another datatype", { y: { datatype: "INT32", shape: [2], data: Int32Array.of(1, 2) } }],
  ])("is as bad as can be when an output is %s", (_, seen) => {
    const comparison = compareOutputs(seen, { y: floats([2], 1, 2) });
    expect(comparison).toEqual({
      cosine: -1,
      largestDifference: Number.MAX_VALUE,
      classAgreement: 0,
      equality: 0,
    });
  });

  it("counts equal elements of whole numbers and strings", () => {
    const label = (data: bigint[]): Tensor => ({
      datatype: "INT64",
      shape: [data.length],
      data: BigInt64Array.from(data),
    });
    const text = (data: string[]): Tensor => ({ datatype: "BYTES", shape: [data.length], data });
    const { equality } = compareOutputs(
      { label: label([1n, 2n, 3n, 4n]), text: text(["a", "b"]) },
      { label: label([1n, 2n, 3n, 9n]), text: text(["a", "x"]) },
    );
    expect(equality).toBe(0.5);
  });
});

describe("failuresOf", () => {
  const comparison = { cosine: 0.9, largestDifference: 0.2, classAgreement: 0.75, equality: 0.9 };

  it("says which threshold does not hold and by how much", () => {
    expect(
      failuresOf(comparison, {
        cosine: 0.985,
        largestDifference: 0.05,
        classAgreement: 0.8,
        equality: 1,
      }),
    ).toEqual([
      "cosine 0.9 is under 0.985, by 0.085",
      "the largest difference 0.2 is over 0.05, by 0.15",
      "class agreement 0.75 is under 0.8, by 0.05",
      "equality 0.9 is under 1, by 0.1",
    ]);
  });

  it("is silent about thresholds that hold, and about those that nobody set", () => {
    expect(failuresOf(comparison, { cosine: 0.9, largestDifference: 0.2 })).toEqual([]);
    expect(failuresOf(comparison, {})).toEqual([]);
  });

  it("fails what is not a number", () => {
    expect(failuresOf({ ...comparison, cosine: Number.NaN }, { cosine: 0 })).toHaveLength(1);
  });

  it("has thresholds where model.json says nothing", () => {
    expect(thresholdsFor("int8", undefined)).toEqual({ cosine: 0.985, equality: 0.99 });
    expect(thresholdsFor("none", undefined)).toEqual({
      largestDifference: 1e-3,
      equality: 1,
    });
    expect(thresholdsFor("int8", { cosine: 0.5 })).toEqual({ cosine: 0.5, equality: 0.99 });
    expect(thresholdsFor("none", {})).toEqual({ largestDifference: 1e-3, equality: 1 });
  });
});

describe("worseOf", () => {
  it("is the worse of each", () => {
    expect(
      worseOf(
        { cosine: 1, largestDifference: 2, classAgreement: 0.5, equality: 1 },
        { cosine: 0.5, largestDifference: 1, classAgreement: 1, equality: 0 },
      ),
    ).toEqual({ cosine: 0.5, largestDifference: 2, classAgreement: 0.5, equality: 0 });
  });
});
