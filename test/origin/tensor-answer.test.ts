import { describe, expect, it } from "vitest";

import type { TensorSpec } from "../../src/catalog/manifest.ts";
import { answerLimit, MAX_TENSOR_BYTES, misfitOf } from "../../src/origin/tensor-answer.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { manifestOf } from "../support/manifests.ts";

const spec = (name: string, shape: number[], datatype: TensorSpec["datatype"] = "FP32") => ({
  name,
  datatype,
  shape,
});
const fp32 = (shape: number[], ...data: number[]): Tensor => ({
  datatype: "FP32",
  shape,
  data: Float32Array.from(data),
});

describe("answerLimit", () => {
  const model = (...outputs: TensorSpec[]) => manifestOf({ inputs: [spec("x", [-1, 2])], outputs });

  it("grows with the batch", () => {
    const one = answerLimit(model(spec("y", [-1, 100])), { x: [1, 2] });
    const ten = answerLimit(model(spec("y", [-1, 100])), { x: [10, 2] });
    expect(ten - one).toBe(9 * 100 * 32);
  });

  it.each([
    ["a dimension that is not known", spec("y", [-1, -1])],
    ["strings", spec("y", [-1], "BYTES")],
    ["more than an isolate holds", spec("y", [-1, 1e9])],
  ])("is the isolate's own for %s", (_, output) => {
    expect(answerLimit(model(output), { x: [1, 2] })).toBe(MAX_TENSOR_BYTES);
  });
});

describe("misfitOf", () => {
  const texts = manifestOf({
    inputs: [spec("ids", [-1, -1], "INT64")],
    outputs: [spec("rows", [-1, 2]), spec("tokens", [-1, -1])],
  });
  const ids: Tensor = { datatype: "INT64", shape: [2, 3], data: new BigInt64Array(6) };
  const rows = fp32([2, 2], 1, 2, 3, 4);
  const tokens = fp32([2, 1], 1, 2);

  it.each<[string, Record<string, Tensor>, boolean]>([
    ["all outputs for the batch", { rows, tokens }, true],
    ["a state with dimensions of the inputs", { rows, tokens: fp32([3, 1], 1, 2, 3) }, true],
    ["another dimension in front", { rows, tokens: fp32([5, 1], 1, 2, 3, 4, 5) }, false],
    ["another batch", { rows: fp32([1, 2], 1, 2), tokens }, false],
    ["another rank", { rows: fp32([4], 1, 2, 3, 4), tokens }, false],
    ["another datatype", { rows: { ...rows, datatype: "FP64" } as Tensor, tokens }, false],
    ["an output less", { rows }, false],
    ["NaN", { rows: fp32([2, 2], 1, Number.NaN, 3, 4), tokens }, false],
    ["an infinity", { rows: fp32([2, 2], 1, -Infinity, 3, 4), tokens }, false],
  ])("takes %s: %s", (_, tensors, fits) => {
    expect(misfitOf(texts, { ids }, tensors) === undefined).toBe(fits);
  });

  it.each([
    [0x3c00, true],
    [0x7bff, true],
    [0x7c00, false],
    [0xfe00, false],
  ])("takes the FP16 bits %i for a number: %s", (bits, isNumber) => {
    const half = manifestOf({ outputs: [spec("y", [1], "FP16")] });
    const y: Tensor = { datatype: "FP16", shape: [1], data: Uint16Array.of(bits) };
    expect(misfitOf(half, {}, { y }) === undefined).toBe(isNumber);
  });
});
