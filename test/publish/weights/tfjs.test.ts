import { describe, expect, it } from "vitest";

import { bytesOf } from "../../../src/publish/onnx/model.ts";
import { readTfjsWeights } from "../../../src/publish/weights/tfjs.ts";

const modelJson = (...groups: object[][]) => ({
  format: "graph-model",
  weightsManifest: groups.map((weights) => ({ paths: ["group1-shard1of1.bin"], weights })),
});

const uint8 = (name: string, shape: number[], quantization: object = {}) => ({
  name,
  shape,
  dtype: "float32",
  quantization: { dtype: "uint8", scale: 0.5, min: -1, original_dtype: "float32", ...quantization },
});

function strings(...words: string[]): Uint8Array {
  return Uint8Array.of(
    ...words.flatMap((word) => {
      const bytes = new TextEncoder().encode(word);
      return [...bytesOf(Uint32Array.of(bytes.length)), ...bytes];
    }),
  );
}

describe("readTfjsWeights", () => {
  it("reads quantized weights and strings, one after the other, over all groups", () => {
    const shards = Uint8Array.of(1, 2, 3, 4, 5, 6, ...strings("", "é", "rust"), 7);
    const weights = readTfjsWeights(
      modelJson(
        [uint8("W", [2, 3]), { name: "labels", shape: [3], dtype: "string" }],
        [uint8("b", [], { scale: 2, min: 3 })],
      ),
      shards,
    );
    expect(weights).toEqual(
      new Map<string, unknown>([
        [
          "W",
          {
            kind: "affine-uint8",
            shape: [2, 3],
            data: Uint8Array.of(1, 2, 3, 4, 5, 6),
            scale: 0.5,
            min: -1,
          },
        ],
        ["labels", { kind: "strings", shape: [3], data: ["", "é", "rust"] }],
        ["b", { kind: "affine-uint8", shape: [], data: Uint8Array.of(7), scale: 2, min: 3 }],
      ]),
    );
  });

  it.each([
    ["bool", 1],
    ["uint8", 1],
    ["uint16", 2],
    ["int32", 4],
    ["float32", 4],
  ])("passes over %s of %i bytes each", (dtype, width) => {
    const shards = new Uint8Array(3 * width + 1).fill(9, 3 * width);
    const json = modelJson([{ name: "skipped", shape: [3], dtype }, uint8("W", [1])]);
    const weights = readTfjsWeights(json, shards);
    expect([...weights.keys()]).toEqual(["W"]);
    expect(weights.get("W")?.data).toEqual(Uint8Array.of(9));
  });

  it("passes over what is quantized to 16 bits, by its stored width", () => {
    const json = modelJson([uint8("W", [2], { dtype: "uint16" }), uint8("b", [1])]);
    expect([...readTfjsWeights(json, new Uint8Array(5)).keys()]).toEqual(["b"]);
  });

  it("takes zero for a minimum that isn't given", () => {
    const json = modelJson([uint8("W", [1], { min: undefined })]);
    expect(readTfjsWeights(json, new Uint8Array(1)).get("W")).toMatchObject({ min: 0 });
  });

  it("keeps nothing of the file", () => {
    const file = Uint8Array.of(0, 5);
    const weights = readTfjsWeights(modelJson([uint8("W", [1])]), file.subarray(1));
    file.fill(0);
    expect(weights.get("W")?.data).toEqual(Uint8Array.of(5));
  });

  const word = { name: "labels", shape: [1], dtype: "string" };

  it.each([
    ["too few bytes", modelJson([uint8("W", [4])]), new Uint8Array(3), /end at byte 4 of 3/],
    ["too many bytes", modelJson([uint8("W", [4])]), new Uint8Array(5), /end at byte 4 of 5/],
    ["a string that is cut off", modelJson([word]), strings("abc").slice(0, 5), /byte 7 of 5/],
    ["a string's length that is cut off", modelJson([word]), new Uint8Array(2), /bounds/],
    [
      "an unknown datatype",
      modelJson([{ name: "W", shape: [1], dtype: "complex64" }]),
      new Uint8Array(8),
      /"W" is stored as complex64, which is unknown/,
    ],
    [
      "quantization to an unknown datatype",
      modelJson([uint8("W", [1], { dtype: "float16" })]),
      new Uint8Array(2),
      /"W" is stored as float16/,
    ],
    ["no manifest", { format: "graph-model" }, new Uint8Array(), /weightsManifest/],
    ["a negative dimension", modelJson([uint8("W", [-1])]), new Uint8Array(), />=0/],
    [
      "weights without a name",
      modelJson([{ shape: [], dtype: "bool" }]),
      new Uint8Array(1),
      /name/,
    ],
    [
      "a scale that is no number",
      modelJson([uint8("W", [1], { scale: "1" })]),
      new Uint8Array(1),
      /number/,
    ],
  ])("refuses %s", (_, json, shards, message) => {
    expect(() => readTfjsWeights(json, shards)).toThrow(message);
  });
});
