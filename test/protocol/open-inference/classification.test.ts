import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { classified } from "../../../src/protocol/open-inference/classification.ts";
import { type Tensor, toBf16 } from "../../../src/runtime/tensor.ts";

const fp32 = (shape: readonly number[], ...data: number[]): Tensor => ({
  datatype: "FP32",
  shape,
  data: Float32Array.from(data),
});
const fp64 = (...data: number[]): Tensor => ({
  datatype: "FP64",
  shape: [data.length],
  data: Float64Array.from(data),
});

describe("classes of an output", () => {
  it("are the highest elements of each row, with their values, indexes and labels", () => {
    const scores = fp32([2, 3], 0.25, 0.5, 0.125, 3, 1, 2);
    expect(classified(scores, 2, ["a", "b", "c"])).toEqual({
      datatype: "BYTES",
      shape: [2, 2],
      data: ["0.500000:1:b", "0.250000:0:a", "3.000000:0:a", "2.000000:2:c"],
    });
  });

  it("are those of Triton's own example", () => {
    const output: Tensor = { datatype: "INT32", shape: [4], data: Int32Array.of(1, 5, 10, 4) };
    expect(classified(output, 2)).toEqual({ datatype: "BYTES", shape: [2], data: ["10:2", "5:1"] });
  });

  it.each<[string, Tensor, number, number[]]>([
    ["all that there are when more are asked for", fp32([1, 2], 1, 2), 5, [1, 2]],
    ["of a row's elements, whatever its inner shape", fp32([2, 2, 1], 1, 2, 3, 4), 1, [2, 1]],
    ["of no rows none", fp32([0, 3]), 2, [0, 2]],
    ["of empty rows none", fp32([2, 0]), 2, [2, 0]],
    ["of a scalar itself", fp32([], 7), 3, [1]],
  ])("are %s", (_, tensor, count, shape) => {
    const classes = classified(tensor, count);
    expect(classes.shape).toEqual(shape);
    expect(classes.data.length).toBe(shape.reduce((product, size) => product * size, 1));
  });

  it("have labels only where there is one for each element", () => {
    expect(classified(fp32([1, 2], 1, 2), 1, ["a", "b", "c"]).data).toEqual(["2.000000:1"]);
  });

  it("go by the first of equals, and by NaN last", () => {
    expect(classified(fp32([4], NaN, 1, 1, -Infinity), 4).data).toEqual([
      "1.000000:1",
      "1.000000:2",
      "-inf:3",
      "nan:0",
    ]);
  });

  it.each<[string, Tensor, string]>([
    [
      "INT64",
      { datatype: "INT64", shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
      "-9223372036854775808",
    ],
    ["UINT8", { datatype: "UINT8", shape: [1], data: Uint8Array.of(255) }, "255"],
    ["FP16", { datatype: "FP16", shape: [1], data: Uint16Array.of(0x3c00) }, "1.000000"],
    ["BF16", { datatype: "BF16", shape: [1], data: Uint16Array.of(toBf16(-2.5)) }, "-2.500000"],
    ["a float that has no short form", fp32([1], 0.1), "0.100000"],
    ["a large float", fp64(1e23), "99999999999999991611392.000000"],
    ["half of the last digit below an even one", fp64(1 / 128), "0.007812"],
    ["half of the last digit above an odd one", fp64(3 / 128), "0.023438"],
    ["infinity", fp64(Infinity), "inf"],
  ])("write %s as printf does", (_, tensor, text) => {
    expect(classified(tensor, 1).data).toEqual([`${text}:0`]);
  });

  it("tell integers of 64 bits apart", () => {
    const data = BigUint64Array.of(2n ** 53n, 2n ** 53n + 1n);
    const tensor: Tensor = { datatype: "UINT64", shape: [2], data };
    expect(classified(tensor, 1).data).toEqual(["9007199254740993:1"]);
  });

  it("are in order, each once", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1 }),
        fc.integer({ min: 1, max: 9 }),
        (values, count) => {
          const tensor: Tensor = {
            datatype: "INT32",
            shape: [values.length],
            data: Int32Array.from(values),
          };
          const found = classified(tensor, count).data.map((text) => text.split(":").map(Number));
          const sorted = [...tensor.data].sort((a, b) => b - a).slice(0, count);
          expect(found.map(([value]) => value)).toEqual(sorted);
          expect(found.map(([, index = -1]) => tensor.data[index])).toEqual(sorted);
          expect(new Set(found.map(([, index]) => index)).size).toBe(sorted.length);
        },
      ),
    );
  });
});
