import { describe, expect, it } from "vitest";

import { decodeBinaryResponse } from "../../../src/protocol/open-inference/binary.ts";
import { encodeInferAnswer } from "../../../src/protocol/open-inference/infer-answer.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";
import { manifestOf } from "../../support/manifests.ts";

const manifest = manifestOf({
  name: "m",
  version: 2,
  task: { type: "tabular-classification", columns: ["a"], labels: ["low", "high"] },
});

/** Outputs as a session shows them: views of memory that others will write to. */
function views() {
  const memory = new Float32Array([0.25, 0.75, Number.NaN, -0]);
  const y: Tensor = { datatype: "FP32", shape: [1, 2], data: memory.subarray(0, 2) };
  const z: Tensor = { datatype: "FP32", shape: [2], data: memory.subarray(2) };
  const s: Tensor = { datatype: "BYTES", shape: [1], data: ["é"] };
  return { memory, tensors: { y, z, s } };
}

const COMPUTED = {
  y: { datatype: "FP32", shape: [1, 2], data: Float32Array.of(0.25, 0.75) },
  z: { datatype: "FP32", shape: [2], data: Float32Array.of(Number.NaN, -0) },
  s: { datatype: "BYTES", shape: [1], data: ["é"] },
};

describe("an answer", () => {
  it.each([
    ["bytes", [true, true, true]],
    ["JSON", [false, false, false]],
    ["bytes and JSON", [true, false, true]],
    ["JSON and bytes", [false, true, false]],
  ])(
    "of %s tells afterwards what was computed, bit by bit",
    (_, [y = false, z = false, s = false]) => {
      const { memory, tensors } = views();
      const outputs = [
        { name: "y", binary: y },
        { name: "z", binary: z },
        { name: "s", binary: s },
      ];
      const answer = encodeInferAnswer(manifest, "7", outputs, tensors);
      memory.fill(9);
      expect(answer.tensors()).toEqual(COMPUTED);
      expect(answer.headerLength === undefined).toBe(!(y || z || s));
    },
  );

  it("that is classified tells what was classified", () => {
    for (const binary of [true, false]) {
      const { memory, tensors } = views();
      const outputs = [
        { name: "y", binary, classification: 1 },
        { name: "z", binary: true },
      ];
      const answer = encodeInferAnswer(manifest, undefined, outputs, tensors);
      memory.fill(9);
      const { s: _, ...computed } = COMPUTED;
      expect(answer.tensors()).toEqual(computed);
      expect(decodeBinaryResponse(answer.body, answer.headerLength)).toEqual({
        y: { datatype: "BYTES", shape: [1, 1], data: ["0.750000:1:high"] },
        z: COMPUTED.z,
      });
    }
  });

  it("that is JSON alone has no bytes behind it", () => {
    const { tensors } = views();
    const { body } = encodeInferAnswer(manifest, "7", [{ name: "z", binary: false }], tensors);
    expect(new TextDecoder().decode(body)).toBe(
      '{"model_name":"m","model_version":"2","id":"7","outputs":[{"name":"z","datatype":"FP32","shape":[2],"data":[null,0]}]}',
    );
  });
});
