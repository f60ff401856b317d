import { describe, expect, it } from "vitest";

import type { TensorSpec } from "../../../src/catalog/manifest.ts";
import { decodeRawBody } from "../../../src/protocol/open-inference/raw-request.ts";
import { manifestOf } from "../../support/manifests.ts";

const OUTPUTS: TensorSpec[] = [{ name: "y", datatype: "FP32", shape: [-1] }];

function decode(inputs: readonly TensorSpec[], ...bytes: number[]) {
  const manifest = manifestOf({ inputs: [...inputs], outputs: OUTPUTS });
  const limits = { placement: "edge", maxBatch: 4 } as const;
  return decodeRawBody(Uint8Array.from(bytes), manifest, limits);
}

const x = (datatype: TensorSpec["datatype"], ...shape: number[]): TensorSpec => ({
  name: "x",
  datatype,
  shape,
});

describe("a body that is one tensor and nothing else", () => {
  it.each<[string, TensorSpec, number[], number[]]>([
    ["the whole shape is known", x("INT16", 2), [1, 0, 2, 0], [2]],
    ["one dimension is open", x("INT16", -1, 2), [1, 0, 2, 0, 3, 0, 4, 0], [2, 2]],
    ["the last dimension is open", x("INT8", 1, -1), [1, 2, 3], [1, 3]],
    ["it has no dimension", x("INT8"), [7], []],
  ])("has the shape that its length says where %s", (_, spec, bytes, shape) => {
    const { inputs, outputs } = decode([spec], ...bytes);
    expect(inputs).toEqual([
      { name: "x", datatype: spec.datatype, shape, bytes: Uint8Array.from(bytes) },
    ]);
    expect(outputs).toEqual([{ name: "y", binary: true }]);
  });

  it("is a string as it stands", () => {
    const [input] = decode([x("BYTES", -1, 1)], 0xc3, 0xa9).inputs;
    expect(input?.tensor).toEqual({ datatype: "BYTES", shape: [1, 1], data: ["é"] });
    expect([...(input?.bytes ?? [])]).toEqual([2, 0, 0, 0, 0xc3, 0xa9]);
  });

  it.each<[string, readonly TensorSpec[], number[], string]>([
    ["the model has two inputs", [x("INT8", 1), { ...x("INT8", 1), name: "z" }], [1], "one input"],
    ["the model has none", [], [1], "one input"],
    ["two dimensions are open", [x("INT8", -1, -1)], [1], "one dimension of variable size"],
    ["it would be several strings", [x("BYTES", 2)], [65], "a single string"],
    ["bytes are missing", [x("INT16", 2)], [1, 0, 2], "The 3 bytes are no INT16 tensor"],
    ["bytes are left over", [x("INT16", -1)], [1, 0, 2], "The 3 bytes are no INT16 tensor"],
    ["it is empty", [x("INT16", -1)], [], "no elements"],
    ["it is too large a batch", [x("INT8", -1)], [1, 2, 3, 4, 5], "4 inputs at most"],
  ])("is refused when %s", (_, inputs, bytes, words) => {
    expect(() => decode(inputs, ...bytes)).toThrow(words);
  });
});
