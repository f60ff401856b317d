import type { NodeProto, TensorProto } from "onnx-buf";

import { DATATYPES, elementCount } from "../runtime/tensor.ts";
import { OnnxError } from "./onnx/error.ts";
import { quantizeColumns, quantizeRows } from "./onnx/int8.ts";
import {
  float32Data,
  isDefaultDomain,
  type OnnxModel,
  opsetOf,
  readModel,
  shapeOf,
  writeModel,
} from "./onnx/model.ts";
import { UniqueNames, usedNames } from "./onnx/names.ts";
import {
  type Attributes,
  floatAttribute,
  intAttribute,
  makeNode,
  makeTensor,
} from "./onnx/nodes.ts";
import { transpose } from "./onnx/matrix.ts";

export interface QuantizeOptions {
  /** Smaller weights stay float: they save nothing. Default 1024. */
  minElements?: number;
  /** Initialisers that stay float, by name. */
  keepFloat?: readonly string[];
}

export type QuantizedKind = "MatMul" | "Gemm" | "Gather";

export interface Quantized {
  readonly onnx: Uint8Array<ArrayBuffer>;
  /** The nodes that were replaced, by their former name. */
  readonly quantized: readonly { readonly node: string; readonly kind: QuantizedKind }[];
}

/** DynamicQuantizeLinear came with opset 11. */
const MIN_OPSET = 11;
const DEFAULT_MIN_ELEMENTS = 1024;
/** From this format on, an initialiser that is listed as an input may be overridden by the caller. */
const IR_WITH_OPTIONAL_INPUTS = 4n;

/**
 * Dynamic int8 quantization. A MatMul or Gemm with a constant matrix multiplies uint8 activations,
 * scaled at run time per tensor, with symmetric int8 weights, scaled per column; a Gather from a
 * constant table reads int8 rows with a scale each. Everything else stays as it is, subgraphs too,
 * and so do the names of inputs and outputs. The result needs no calibration data.
 *
 * @throws OnnxError `unsupported_opset` below opset 11
 */
export function quantizeDynamicInt8(onnx: Uint8Array, options: QuantizeOptions = {}): Quantized {
  const model = readModel(onnx);
  const opset = opsetOf(model);
  if (opset < MIN_OPSET) {
    throw new OnnxError(
      "unsupported_opset",
      `The model uses opset ${opset}; int8 quantization needs ${MIN_OPSET} or newer. Convert it with onnx.version_converter.`,
    );
  }
  return new Quantizer(model, options).run();
}

class Quantizer {
  readonly #model: OnnxModel;
  readonly #weights: ReadonlyMap<string, TensorProto>;
  readonly #names: UniqueNames;
  readonly #nodes: NodeProto[] = [];
  readonly #added: TensorProto[] = [];
  /** What was made of an activation, a weight matrix or a table, so that it is made once. */
  readonly #activations = new Map<string, QuantizedActivation>();
  readonly #matrices = new Map<string, QuantizedWeights>();
  readonly #quantized: { node: string; kind: QuantizedKind }[] = [];

  constructor(model: OnnxModel, options: QuantizeOptions) {
    this.#model = model;
    this.#names = new UniqueNames(model.graph);
    this.#weights = quantizableWeights(model, options);
  }

  run(): Quantized {
    const { graph } = this.#model;
    for (const node of graph.node) {
      const kind = this.#replace(node);
      if (kind === undefined) this.#nodes.push(node);
      else this.#quantized.push({ node: node.name, kind });
    }
    graph.node = this.#nodes;
    graph.initializer.push(...this.#added);
    this.#dropUnused();
    return { onnx: writeModel(this.#model), quantized: this.#quantized };
  }

  /** Adds the int8 form of a node, or returns undefined when it has none. */
  #replace(node: NodeProto): QuantizedKind | undefined {
    if (!isDefaultDomain(node.domain)) return undefined;
    const [first = "", second = ""] = node.input;
    if (node.opType === "MatMul") {
      const weights = this.#weights.get(second);
      return weights && this.#replaceMatMul(node, weights);
    }
    if (node.opType === "Gemm" && intAttribute(node, "transA", 0) === 0) {
      const weights = this.#weights.get(second);
      return weights && this.#replaceGemm(node, weights);
    }
    const axis = intAttribute(node, "axis", 0);
    if (node.opType === "Gather" && (axis === 0 || axis === -2)) {
      const table = this.#weights.get(first);
      return table && this.#replaceGather(node, table);
    }
    return undefined;
  }

  #replaceMatMul(node: NodeProto, weights: TensorProto): "MatMul" {
    const [activation = ""] = node.input;
    const [output = ""] = node.output;
    this.#multiply(node, activation, this.#matrix(weights, false, 1), output);
    return "MatMul";
  }

  #replaceGemm(node: NodeProto, weights: TensorProto): "Gemm" {
    const [activation = "", , bias = ""] = node.input;
    const [output = ""] = node.output;
    const transposed = intAttribute(node, "transB", 0) !== 0;
    const matrix = this.#matrix(weights, transposed, floatAttribute(node, "alpha", 1));
    const beta = floatAttribute(node, "beta", 1);
    if (bias === "" || beta === 0) {
      this.#multiply(node, activation, matrix, output);
      return "Gemm";
    }
    const product = this.#names.take(`${output}_product`);
    this.#multiply(node, activation, matrix, product);
    const scaledBias = beta === 1 ? bias : this.#scaleBias(node, bias, beta);
    this.#node("Add", node, [product, scaledBias], [output]);
    return "Gemm";
  }

  #scaleBias(node: NodeProto, bias: string, beta: number): string {
    const factor = this.#names.take(`${node.name}_beta`);
    this.#added.push(makeTensor(factor, "FP32", [], Float32Array.of(beta)));
    const scaled = this.#names.take(`${bias}_scaled`);
    this.#node("Mul", node, [bias, factor], [scaled]);
    return scaled;
  }

  #replaceGather(node: NodeProto, table: TensorProto): "Gather" {
    const [, indices = ""] = node.input;
    const [output = ""] = node.output;
    const { values, scales } = this.#rows(table);
    const rows = this.#names.take(`${output}_rows`);
    const floats = this.#names.take(`${output}_floats`);
    const rowScales = this.#names.take(`${output}_scales`);
    this.#node("Gather", node, [values, indices], [rows], { axis: 0 });
    this.#node("Cast", node, [rows], [floats], { to: DATATYPES.FP32.onnx });
    this.#node("Gather", node, [scales, indices], [rowScales], { axis: 0 });
    this.#node("Mul", node, [floats, rowScales], [output]);
    return "Gather";
  }

  /** `output = activation × matrix`. The order of the nodes is the one that ONNX Runtime fuses. */
  #multiply(node: NodeProto, activation: string, matrix: QuantizedWeights, output: string): void {
    const { values, scale, zeroPoint } = this.#activation(node, activation);
    const sums = this.#names.take(`${output}_sums`);
    const floats = this.#names.take(`${output}_floats`);
    const scales = this.#names.take(`${output}_scales`);
    this.#node("MatMulInteger", node, [values, matrix.values, zeroPoint], [sums]);
    this.#node("Cast", node, [sums], [floats], { to: DATATYPES.FP32.onnx });
    this.#node("Mul", node, [scale, matrix.scales], [scales]);
    this.#node("Mul", node, [floats, scales], [output]);
  }

  #activation(node: NodeProto, name: string): QuantizedActivation {
    const known = this.#activations.get(name);
    if (known !== undefined) return known;
    const made: QuantizedActivation = {
      values: this.#names.take(`${name}_uint8`),
      scale: this.#names.take(`${name}_scale`),
      zeroPoint: this.#names.take(`${name}_zero_point`),
    };
    this.#node("DynamicQuantizeLinear", node, [name], [made.values, made.scale, made.zeroPoint]);
    this.#activations.set(name, made);
    return made;
  }

  /** @param factor multiplies the product: the alpha of a Gemm */
  #matrix(weights: TensorProto, transposed: boolean, factor: number): QuantizedWeights {
    const key = `${weights.name} ${transposed} ${factor}`;
    const known = this.#matrices.get(key);
    if (known !== undefined) return known;
    const [first = 0, second = 0] = shapeOf(weights);
    const [rows, columns] = transposed ? [second, first] : [first, second];
    const floats = float32Data(weights);
    const matrix = transposed ? transpose(floats, first, second) : floats;
    const { values, scales } = quantizeColumns(matrix, rows, columns);
    const made = {
      values: this.#names.take(`${weights.name}_int8`),
      scales: this.#names.take(`${weights.name}_scales`),
    };
    this.#added.push(
      makeTensor(made.values, "INT8", [rows, columns], values),
      makeTensor(
        made.scales,
        "FP32",
        [columns],
        scales.map((scale) => scale * factor),
      ),
    );
    this.#matrices.set(key, made);
    return made;
  }

  #rows(table: TensorProto): QuantizedWeights {
    const key = `${table.name} rows`;
    const known = this.#matrices.get(key);
    if (known !== undefined) return known;
    const [rows = 0, columns = 0] = shapeOf(table);
    const { values, scales } = quantizeRows(float32Data(table), rows, columns);
    const made = {
      values: this.#names.take(`${table.name}_int8_rows`),
      scales: this.#names.take(`${table.name}_row_scales`),
    };
    this.#added.push(
      makeTensor(made.values, "INT8", [rows, columns], values),
      makeTensor(made.scales, "FP32", [rows, 1], scales),
    );
    this.#matrices.set(key, made);
    return made;
  }

  #node(
    opType: string,
    replaced: NodeProto,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Attributes = {},
  ): void {
    const name = this.#names.take(`${replaced.name}/${opType}`);
    this.#nodes.push(makeNode({ name, opType, inputs, outputs, attributes }));
  }

  /** Weights that nothing reads any more, in subgraphs either, go. */
  #dropUnused(): void {
    const { graph } = this.#model;
    const used = usedNames(graph);
    const isGone = ({ name }: { name: string }): boolean =>
      this.#weights.has(name) && !used.has(name);
    graph.initializer = graph.initializer.filter((tensor) => !isGone(tensor));
    graph.input = graph.input.filter((input) => !isGone(input));
    graph.valueInfo = graph.valueInfo.filter((value) => !isGone(value));
  }
}

/** Names of the outputs of DynamicQuantizeLinear. */
interface QuantizedActivation {
  readonly values: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** Names of initialisers. */
interface QuantizedWeights {
  readonly values: string;
  readonly scales: string;
}

/** The float32 matrices of the main graph that are constant, finite and large enough. */
function quantizableWeights(
  model: OnnxModel,
  { minElements = DEFAULT_MIN_ELEMENTS, keepFloat = [] }: QuantizeOptions,
): Map<string, TensorProto> {
  const kept = new Set(keepFloat);
  if (model.irVersion >= IR_WITH_OPTIONAL_INPUTS) {
    for (const { name } of model.graph.input) kept.add(name);
  }
  const weights = new Map<string, TensorProto>();
  for (const tensor of model.graph.initializer) {
    const shape = shapeOf(tensor);
    if (tensor.dataType !== DATATYPES.FP32.onnx || shape.length !== 2) continue;
    if (kept.has(tensor.name) || elementCount(shape) < Math.max(minElements, 1)) continue;
    if (float32Data(tensor).every(Number.isFinite)) weights.set(tensor.name, tensor);
  }
  return weights;
}
