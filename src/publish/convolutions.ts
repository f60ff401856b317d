import type { NodeProto, TensorProto } from "onnx-buf";

import { DATATYPES } from "../runtime/tensor.ts";
import { float32Data, isDefaultDomain, type OnnxModel, suppliedNames } from "./onnx/model.ts";
import { readCounts } from "./onnx/names.ts";
import { intAttribute } from "./onnx/nodes.ts";

/** A convolution of constant weights, and what cuts off its output. */
export interface Convolution {
  readonly node: NodeProto;
  readonly activation: Activation | undefined;
  readonly input: string;
  /** The activation's, if there is one. */
  readonly output: string;
  readonly weights: TensorProto;
  readonly bias: TensorProto | undefined;
  /** More than one: each output channel sees only some of the input's. */
  readonly groups: number;
}

/** The Relu or Clip that reads a convolution, and nothing else does. */
export interface Activation {
  readonly node: NodeProto;
  /** Zero lies between them. */
  readonly lowest: number;
  readonly highest: number;
}

/** Those of the main graph; one in a branch or a loop stays as it is. */
export function convolutionsOf(model: OnnxModel): Convolution[] {
  const { graph } = model;
  const supplied = suppliedNames(model);
  const constants = new Map(
    graph.initializer
      .filter(({ name, dataType }) => dataType === DATATYPES.FP32.onnx && !supplied.has(name))
      .map((tensor) => [tensor.name, tensor]),
  );
  const reads = readCounts(graph);
  const readers = new Map(graph.node.map((node) => [node.input[0] ?? "", node]));
  return graph.node.flatMap((node) => {
    const [input = "", weight = "", shift = ""] = node.input;
    const [result = ""] = node.output;
    const [weights, bias] = [constants.get(weight), constants.get(shift)];
    const isConstant = weights !== undefined && (shift === "" || bias !== undefined);
    if (node.opType !== "Conv" || !isDefaultDomain(node.domain) || !isConstant) return [];
    const reader = reads.get(result) === 1 ? readers.get(result) : undefined;
    const activation = reader && activationOf(reader, constants);
    const output = activation?.node.output[0] ?? result;
    const groups = intAttribute(node, "group", 1);
    return [{ node, activation, input, output, weights, bias, groups }];
  });
}

function activationOf(
  node: NodeProto,
  constants: ReadonlyMap<string, TensorProto>,
): Activation | undefined {
  if (!isDefaultDomain(node.domain)) return undefined;
  if (node.opType === "Relu") return { node, lowest: 0, highest: Number.POSITIVE_INFINITY };
  // Before opset 11, the limits are attributes.
  if (node.opType !== "Clip" || node.attribute.length > 0) return undefined;
  const limit = (name: string, without: number): number => {
    const tensor = constants.get(name);
    if (tensor === undefined) return name === "" ? without : Number.NaN;
    return float32Data(tensor)[0] ?? Number.NaN;
  };
  const [, least = "", most = ""] = node.input;
  const lowest = limit(least, Number.NEGATIVE_INFINITY);
  const highest = limit(most, Number.POSITIVE_INFINITY);
  return lowest <= 0 && highest >= 0 ? { node, lowest, highest } : undefined;
}
