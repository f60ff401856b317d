import { describe, expect, it } from "vitest";

import { compareTensors } from "../../../src/rollout/compare/tensor.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";

const floats = (...data: number[]): Tensor => ({
  datatype: "FP32",
  shape: [data.length],
  data: Float32Array.from(data),
});
const halves = (...bits: number[]): Tensor => ({
  datatype: "FP16",
  shape: [bits.length],
  data: Uint16Array.from(bits),
});
const upperHalves = (...bits: number[]): Tensor => ({
  datatype: "BF16",
  shape: [bits.length],
  data: Uint16Array.from(bits),
});
const integers = (...data: bigint[]): Tensor => ({
  datatype: "INT64",
  shape: [data.length],
  data: BigInt64Array.from(data),
});
const strings = (...data: string[]): Tensor => ({ datatype: "BYTES", shape: [data.length], data });

describe("compareTensors", () => {
  it.each<[string, Tensor, Tensor, number]>([
    ["equal elements", floats(1, 2), floats(1, 2), 0],
    ["small elements, absolute", floats(0.5, 0.25), floats(0.25, 0.5), 0.25],
    ["large elements, by their size", floats(1000), floats(1500), 1 / 3],
    ["other signs", floats(1000), floats(-1000), 2],
    ["NaN on both sides", floats(Number.NaN, 1), floats(Number.NaN, 1), 0],
    ["NaN on one side", floats(Number.NaN, 1), floats(0, 1), 1],
    ["equal infinities", floats(Number.POSITIVE_INFINITY), floats(Number.POSITIVE_INFINITY), 0],
    ["an infinity", floats(Number.POSITIVE_INFINITY), floats(3e38), 1],
    ["zeros of both signs", floats(0), floats(-0), 0],
    ["no elements", floats(), floats(), 0],
    ["halves", halves(0x3c00), halves(0x3800), 0.5],
    ["upper halves", upperHalves(0x3f80), upperHalves(0x3f00), 0.5],
    ["integers of 64 bits", integers(3n, 2n ** 62n), integers(4n, 2n ** 62n), 0.25],
    ["equal strings", strings("a", "b"), strings("a", "b"), 0],
    ["other strings", strings("a", "b"), strings("a", "c"), 1],
    ["another shape", floats(1, 1), { ...floats(1, 1), shape: [1, 2] } as Tensor, 1],
    ["another datatype", floats(1), halves(0x3c00), 1],
    ["fewer elements than the shape says", floats(1), { ...floats(), shape: [1] } as Tensor, 1],
  ])("measures %s", (_, a, b, distance) => {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(compareTensors({ y: one }, { y: other })).toEqual({
        kind: "tensor",
        items: 1,
        flips: 0,
        distances: [expect.closeTo(distance, 12)],
      });
    }
  });

  it("tells integers apart that are the same as doubles", () => {
    const [a, b] = [{ y: integers(2n ** 60n) }, { y: integers(2n ** 60n + 1n) }];
    expect(compareTensors(a, b).distances).toEqual([2 ** -60]);
  });

  it("has a distance for each output, in the order of their names, and 1 for one that is missing", () => {
    const a = { z: floats(0), constructor: floats(1), b: floats(0) };
    expect(compareTensors(a, { b: floats(0.5), z: floats(0) })).toMatchObject({
      items: 3,
      flips: 0,
      distances: [0.5, 1, 0],
    });
  });
});
