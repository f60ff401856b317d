import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import type { Datatype } from "../../src/runtime/tensor.ts";

/** `y = x`, of any shape of this rank. */
export function identityGraph(datatype: Datatype, rank: number): Uint8Array<ArrayBuffer> {
  const shape = Array.from({ length: rank }, (_, axis) => `d${axis}`);
  const graph = new GraphBuilder(`identity-${datatype}`);
  graph.input("x", datatype, shape);
  graph.op("Identity", ["x"], {}, "y");
  graph.output("y", datatype, shape);
  return graph.toBytes();
}

/** `y = x · W + b` with W of [inputs, outputs] counted up from zero, and `sum = Σ y`. */
export function linearGraph(inputs: number, outputs: number): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("linear");
  graph.input("x", "FP32", ["batch", inputs]);
  const weights = Float32Array.from({ length: inputs * outputs }, (_, index) => index / 1000);
  graph.floats("W", weights, [inputs, outputs]);
  graph.floats("b", new Float32Array(outputs).fill(1), [outputs]);
  graph.op("Gemm", ["x", "W", "b"], {}, "y");
  graph.op("ReduceSum", ["y"], { keepdims: 0 }, "sum");
  graph.output("y", "FP32", ["batch", outputs]);
  graph.output("sum", "FP32", []);
  return graph.toBytes();
}

/** `y = table[index]`: an index out of range is an error of ORT's. */
export function gatherGraph(rows: number): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("gather");
  graph.input("index", "INT64", ["n"]);
  graph.floats(
    "table",
    Float32Array.from({ length: rows * 2 }, (_, index) => index),
    [rows, 2],
  );
  graph.op("Gather", ["table", "index"], {}, "y");
  graph.output("y", "FP32", ["n", 2]);
  return graph.toBytes();
}

/** `y = x xᵀ`: n numbers in, n² out. */
export function outerProductGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("outer");
  graph.input("x", "FP32", ["n", 1]);
  graph.op("MatMul", ["x", graph.op("Transpose", ["x"], { perm: [1, 0] })], {}, "y");
  graph.output("y", "FP32", ["n", "n"]);
  return graph.toBytes();
}
