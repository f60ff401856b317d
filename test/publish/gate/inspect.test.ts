import { describe, expect, it } from "vitest";

import { checkRuns, inspect } from "../../../src/publish/gate/inspect.ts";
import { optimise } from "../../../src/publish/gate/optimise.ts";
import { syntheticFixtures } from "../../../src/publish/gate/synthetic-fixtures.ts";
import { externalize } from "../../../src/publish/onnx/externalize.ts";
import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import { readModel, writeModel } from "../../../src/publish/onnx/model.ts";
import { signature } from "../../../src/publish/onnx/signature.ts";
import { identityGraph, linearGraph } from "../../support/graphs.ts";

/** `y = x · W` behind what exporters put in the way: a Constant that is transposed. */
function wrappedWeights(): Uint8Array {
  const graph = new GraphBuilder("wrapped");
  graph.input("x", "FP32", ["batch", 4]);
  graph.floats("W", new Float32Array(12).fill(0.5), [3, 4]);
  const transposed = graph.op("Transpose", [graph.op("Identity", ["W"])], { perm: [1, 0] });
  graph.op("MatMul", ["x", transposed], {}, "y");
  graph.output("y", "FP32", ["batch", 3]);
  return graph.toBytes();
}

function operatorOf(opType: string, domain?: string): Uint8Array {
  const graph = new GraphBuilder("one");
  graph.input("x", "FP32", ["n"]);
  graph.node(opType, ["x"], ["y"], {}, domain);
  graph.output("y", "FP32", ["n"]);
  return graph.toBytes();
}

describe("inspect", () => {
  it("says what a model takes, gives and uses", () => {
    expect(inspect(linearGraph(4, 3))).toEqual({
      opset: 17,
      operators: { Gemm: 1, ReduceSum: 1 },
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4], axes: ["batch", null] }],
      outputs: [
        { name: "y", datatype: "FP32", shape: [-1, 3] },
        { name: "sum", datatype: "FP32", shape: [] },
      ],
    });
  });

  it.each<[string, () => Uint8Array, RegExp]>([
    ["no ONNX", () => new Uint8Array([1, 2, 3]), /not an ONNX model/],
    [
      "weights in another file",
      () => externalize(linearGraph(64, 64)).graph,
      /stored in another file.*onnx\.save/,
    ],
    [
      "an opset from the future",
      () => {
        const model = readModel(linearGraph(2, 2));
        for (const entry of model.opsetImport) entry.version = 99n;
        return writeModel(model);
      },
      /opset 99.*knows \d+.*opset_version/,
    ],
  ])("refuses %s with advice", (_, make, message) => {
    expect(() => inspect(make())).toThrow(
      expect.objectContaining({
        code: "unsupported_model",
        message: expect.stringMatching(message),
      }),
    );
  });
});

describe("checkRuns", () => {
  it("lets pass what the edge's runtime loads", async () => {
    await expect(checkRuns(linearGraph(4, 3))).resolves.toBeUndefined();
  });

  it.each([
    ["an operator that does not exist", operatorOf("Frobnicate"), /Frobnicate/],
    ["an operator of somebody's own", operatorOf("Thing", "com.example"), /com\.example/],
  ])("names %s", async (_, onnx, message) => {
    await expect(checkRuns(onnx)).rejects.toMatchObject({
      code: "unsupported_model",
      message: expect.stringMatching(message),
    });
  });
});

describe("optimise", () => {
  it("folds what stands before the weights, so that the quantizer finds them", async () => {
    const { operators } = inspect(await optimise(wrappedWeights()));
    expect(operators).toEqual({ MatMul: 1 });
  });

  it("gives the same bytes twice", async () => {
    expect(await optimise(wrappedWeights())).toEqual(await optimise(wrappedWeights()));
  });
});

describe("syntheticFixtures", () => {
  it.each(["FP32", "FP16", "FP64", "INT64", "INT8", "BOOL", "BYTES"] as const)(
    "makes inputs of %s, and what the native runtime answers",
    async (datatype) => {
      const onnx = identityGraph(datatype, 2);
      const { cases } = await syntheticFixtures(onnx, signature(onnx));
      expect(cases.map(({ inputs }) => inputs["x"]?.shape)).toEqual([
        [1, 32],
        [3, 32],
      ]);
      for (const { inputs, expected } of cases) expect(expected["y"]).toEqual(inputs["x"]);
    },
  );

  it("is the same every time", async () => {
    const onnx = linearGraph(4, 3);
    expect(await syntheticFixtures(onnx, signature(onnx))).toEqual(
      await syntheticFixtures(onnx, signature(onnx)),
    );
  });

  it("asks for fixtures when no shape fits", async () => {
    const graph = new GraphBuilder("picky");
    graph.input("a", "FP32", ["n", "m"]);
    graph.op("Reshape", ["a", graph.int64s("shape", [7, 13])], {}, "y");
    graph.output("y", "FP32", [7, 13]);
    const onnx = graph.toBytes();
    await expect(syntheticFixtures(onnx, signature(onnx))).rejects.toMatchObject({
      code: "bad_fixtures",
      message: expect.stringContaining("fixtures.json"),
    });
  });
});
