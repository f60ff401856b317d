import { create } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType, AttributeProtoSchema, GraphProtoSchema } from "onnx-buf";

import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { readModel, writeModel } from "../../src/publish/onnx/model.ts";
import { type Attributes, makeNode } from "../../src/publish/onnx/nodes.ts";
import { noise } from "./support.ts";

/** Inputs and outputs of `branchGraph`'s matrix. */
export const BRANCH_WIDTH = 32;

/** `h = x · W`, then `y = choice ? h · W : -h`: a branch reads a weight of the graph around it. */
export function branchGraph(): Uint8Array<ArrayBuffer> {
  const shape = ["batch", BRANCH_WIDTH];
  const graph = new GraphBuilder("branches");
  graph.input("choice", "BOOL", []);
  graph.input("x", "FP32", shape);
  graph.floats("W", noise(BRANCH_WIDTH * BRANCH_WIDTH), [BRANCH_WIDTH, BRANCH_WIDTH]);
  graph.op("MatMul", ["x", "W"], {}, "h");
  graph.op("If", ["choice"], {}, "y");
  graph.output("y", "FP32", shape);
  const model = readModel(graph.toBytes());
  model.graph.node[1]?.attribute.push(
    branch("then", "MatMul", ["h", "W"]),
    branch("else", "Neg", ["h"]),
  );
  return writeModel(model);
}

function branch(name: string, opType: string, inputs: readonly string[]) {
  return create(AttributeProtoSchema, {
    name: `${name}_branch`,
    type: AttributeProto_AttributeType.GRAPH,
    g: create(GraphProtoSchema, {
      name,
      node: [makeNode({ name: `${name}/0`, opType, inputs, outputs: ["inner"] })],
      output: [{ name: "inner", type: { value: { case: "tensorType", value: { elemType: 1 } } } }],
    }),
  });
}

/** What a graph of one product is made of; its output is `y`. */
export interface ProductInit {
  readonly opType: "MatMul" | "Gemm";
  /** Of the activation; the last is `rows`. */
  readonly shape: readonly (number | string)[];
  readonly rows: number;
  readonly columns: number;
  /** Row-major, [rows, columns], or [columns, rows] with transB. */
  readonly weights: Iterable<number>;
  readonly bias?: readonly number[];
  readonly attributes?: Attributes;
}

/** `y = x · W`, or a Gemm. */
export function productGraph(init: ProductInit): Uint8Array<ArrayBuffer> {
  const { opType, shape, rows, columns, weights, bias, attributes = {} } = init;
  const graph = new GraphBuilder("product");
  const x = graph.input("x", "FP32", shape);
  const dims = attributes["transB"] === 1 ? [columns, rows] : [rows, columns];
  const W = graph.floats("W", weights, dims);
  const b = bias === undefined ? [] : [graph.floats("b", bias, [bias.length])];
  const y = graph.op(opType, [x, W, ...b], attributes, "y");
  graph.output(y, "FP32", [...shape.slice(0, -1), columns]);
  return graph.toBytes();
}
