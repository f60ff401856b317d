import { create } from "@bufbuild/protobuf";
import { TypeProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";

import { GraphBuilder, type SymbolicShape } from "../../../src/publish/onnx/graph-builder.ts";
import { type OnnxModel, readModel, writeModel } from "../../../src/publish/onnx/model.ts";
import { signature } from "../../../src/publish/onnx/signature.ts";
import { DATATYPES, type Datatype } from "../../../src/runtime/tensor.ts";
import { identityGraph, linearGraph } from "../../support/graphs.ts";
import { wasmSession } from "../support.ts";

const changed = (change: (model: OnnxModel) => void): Uint8Array => {
  const model = readModel(linearGraph(2, 3));
  change(model);
  return writeModel(model);
};

describe("signature", () => {
  it("tells inputs and outputs in the order of the graph", () => {
    expect(signature(linearGraph(2, 3))).toEqual({
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2], axes: ["batch", null] }],
      outputs: [
        { name: "y", datatype: "FP32", shape: [-1, 3] },
        { name: "sum", datatype: "FP32", shape: [] },
      ],
    });
  });

  it.each(Object.keys(DATATYPES) as Datatype[])(
    "says of %s what the runtime says",
    async (datatype) => {
      const onnx = identityGraph(datatype, 3);
      const { inputs, outputs } = await wasmSession({ graph: onnx });
      const axes = ["d0", "d1", "d2"];
      expect(signature(onnx)).toEqual({ inputs: inputs.map((one) => ({ ...one, axes })), outputs });
    },
  );

  it.each<[SymbolicShape, number[]]>([
    [[], []],
    [["n"], [-1]],
    [
      [1, "n", 0],
      [1, -1, 0],
    ],
    [
      [-1, -7],
      [-1, -1],
    ],
  ])("reads shape %j as %j", (shape, expected) => {
    const graph = new GraphBuilder("g");
    graph.input("x", "FP32", shape);
    expect(signature(graph.toBytes()).inputs[0]?.shape).toEqual(expected);
  });

  it("says nothing of axes without a name", () => {
    const graph = new GraphBuilder("g");
    graph.input("x", "FP32", [-1, 2]);
    expect(signature(graph.toBytes()).inputs).toEqual([
      { name: "x", datatype: "FP32", shape: [-1, 2] },
    ]);
  });

  it("leaves out initialisers that are listed as inputs", () => {
    const listed = changed(({ graph }) => {
      for (const name of ["W", "b"]) graph.input.push({ ...graph.input[0]!, name });
    });
    expect(signature(listed).inputs.map(({ name }) => name)).toEqual(["x"]);
  });

  it.each([
    [
      "an input of no type",
      changed(({ graph: { input } }) => delete input[0]!.type),
      "unsupported_datatype",
      /"x" is untyped; only tensors/,
    ],
    [
      "a sequence",
      changed(({ graph: { output } }) => {
        output[0]!.type = create(TypeProtoSchema, { value: { case: "sequenceType", value: {} } });
      }),
      "unsupported_datatype",
      /"y" is sequenceType/,
    ],
    [
      "an output of unknown rank",
      changed(({ graph: { output } }) => {
        output[0]!.type = create(TypeProtoSchema, {
          value: { case: "tensorType", value: { elemType: 1 } },
        });
      }),
      "unsupported_graph",
      /"y" doesn't declare its rank/,
    ],
    [
      "a datatype that isn't carried",
      changed(({ graph: { input } }) => {
        input[0]!.type = create(TypeProtoSchema, {
          value: { case: "tensorType", value: { elemType: 17, shape: {} } },
        });
      }),
      "unsupported_datatype",
      /"x" has ONNX element type 17/,
    ],
  ])("refuses %s", (_, onnx, code, message) => {
    expect(() => signature(onnx)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
