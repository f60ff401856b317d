import { AttributeProto_AttributeType } from "onnx-buf";
import { describe, expect, it } from "vitest";

import { bytesOf } from "../../../src/publish/onnx/model.ts";
import {
  type AttributeValue,
  floatAttribute,
  intAttribute,
  makeNode,
  makeTensor,
} from "../../../src/publish/onnx/nodes.ts";

const node = (attributes: Record<string, AttributeValue> = {}) =>
  makeNode({ name: "n", opType: "Op", inputs: ["a", ""], outputs: ["b"], attributes });

describe("makeNode", () => {
  it.each([
    ["a whole number", 3, { type: AttributeProto_AttributeType.INT, i: 3n }],
    ["a negative number", -1, { type: AttributeProto_AttributeType.INT, i: -1n }],
    ["a float", { float: 0.5 }, { type: AttributeProto_AttributeType.FLOAT, f: 0.5 }],
    ["a list", [1, -2], { type: AttributeProto_AttributeType.INTS, ints: [1n, -2n] }],
    ["an empty list", [], { type: AttributeProto_AttributeType.INTS, ints: [] }],
    [
      "a text",
      "é",
      { type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode("é") },
    ],
  ])("writes %s as ONNX does", (_, value, attribute) => {
    expect(node({ key: value }).attribute).toMatchObject([{ name: "key", ...attribute }]);
  });

  it("refuses a number with a fraction that isn't marked as a float", () => {
    expect(() => node({ alpha: 0.5 })).toThrow(RangeError);
  });
});

describe("makeTensor", () => {
  it("holds its elements as little-endian bytes", () => {
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    expect(makeTensor("W", "FP32", [2, 3], data)).toMatchObject({
      name: "W",
      dims: [2n, 3n],
      dataType: 1,
      rawData: bytesOf(data),
    });
  });

  it.each([
    [[2, 2], '"W" has 3 elements, but shape [2, 2].'],
    [[], '"W" has 3 elements, but shape [].'],
    [[0], '"W" has 3 elements, but shape [0].'],
  ])("refuses three elements in shape %j", (shape, message) => {
    expect(() => makeTensor("W", "FP32", shape, new Float32Array(3))).toThrow(
      expect.objectContaining({ name: "OnnxError", code: "invalid_tensor", message }),
    );
  });
});

describe("attributes", () => {
  it("are read back by name, or their default is", () => {
    const one = node({ axis: -2, alpha: { float: 0.25 } });
    expect(intAttribute(one, "axis", 0)).toBe(-2);
    expect(intAttribute(one, "transB", 1)).toBe(1);
    expect(floatAttribute(one, "alpha", 1)).toBe(0.25);
    expect(floatAttribute(one, "beta", 1)).toBe(1);
  });
});
