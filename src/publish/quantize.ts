import type { NodeProto, TensorProto } from "onnx-buf";

import {
  DATATYPES,
  elementCount,
  type NumericDatatype,
  type TensorArrays,
} from "../runtime/tensor.ts";
import { OnnxError } from "./onnx/error.ts";
import { quantizeColumns, quantizeRows } from "./onnx/int8.ts";
import {
  float32Data,
  isDefaultDomain,
  type OnnxModel,
  opsetOf,
  readModel,
  shapeOf,
  suppliedNames,
  writeModel,
} from "./onnx/model.ts";
import { readCounts, UniqueNames } from "./onnx/names.ts";
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

/** QuantizeLinear and MatMulInteger came with opset 10. */
const MIN_OPSET = 10;
/** From this opset on, a reduction's axes are an input and no attribute. */
const OPSET_WITH_AXES_INPUT = 18;
/** What stands for zero in uint8 activations, so that their range is symmetric, as the weights' is. */
const ZERO_POINT = 128;
const LARGEST_INT8 = 127;
/** A row of zeros needs a scale, too. */
const LEAST_SCALE = 1e-30;
const DEFAULT_MIN_ELEMENTS = 1024;

/**
 * Dynamic int8 quantization. A MatMul or Gemm with a constant matrix multiplies uint8 activations,
 * scaled at run time per row, with symmetric int8 weights, scaled per column; a Gather from a
 * constant table reads int8 rows with a scale each. Everything else stays as it is, subgraphs too,
 * and so do the names of inputs and outputs.
 *
 * A scale per row, where DynamicQuantizeLinear has one per tensor, keeps the rows of a batch apart: with
 * one per tensor, MiniLM's embedding of "No" had cosine 0.976 with fp32 among fifty other sentences and
 * 0.990 alone; with one per row it has 0.995 in either (measured). It costs 6 % of the time.
 *
 * @throws OnnxError `unsupported_opset` below opset 10
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
  readonly #activations = new Map<string, QuantizedTensor>();
  readonly #matrices = new Map<string, QuantizedTensor>();
  readonly #constants = new Map<string, string>();
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

  /**
   * `output = activation × matrix`. The scales of the columns come first: ONNX Runtime fuses a product of
   * both scales into a node that takes the activation's as a single number, without looking.
   */
  #multiply(node: NodeProto, activation: string, matrix: QuantizedTensor, output: string): void {
    const { values, scales } = this.#activation(node, activation);
    const sums = this.#names.take(`${output}_sums`);
    const floats = this.#names.take(`${output}_floats`);
    const columns = this.#names.take(`${output}_columns`);
    this.#node("MatMulInteger", node, [values, matrix.values, this.#zeroPoint()], [sums]);
    this.#node("Cast", node, [sums], [floats], { to: DATATYPES.FP32.onnx });
    this.#node("Mul", node, [floats, matrix.scales], [columns]);
    this.#node("Mul", node, [columns, scales], [output]);
  }

  /** Each row as uint8 around `ZERO_POINT`, and its scale. */
  #activation(node: NodeProto, name: string): QuantizedTensor {
    const known = this.#activations.get(name);
    if (known !== undefined) return known;
    const step = (opType: string, inputs: readonly string[], suffix: string): string => {
      const output = this.#names.take(`${name}_${suffix}`);
      this.#node(opType, node, inputs, [output]);
      return output;
    };
    const largest = this.#largestOfRows(node, step("Abs", [name], "magnitudes"), name);
    const share = step("Mul", [largest, this.#float("int8_share", 1 / LARGEST_INT8)], "share");
    const scales = step("Max", [share, this.#float("least_scale", LEAST_SCALE)], "scales");
    const units = step("Div", [name, scales], "units");
    const values = step(
      "QuantizeLinear",
      [units, this.#float("one", 1), this.#zeroPoint()],
      "uint8",
    );
    const made = { values, scales };
    this.#activations.set(name, made);
    return made;
  }

  #largestOfRows(node: NodeProto, magnitudes: string, name: string): string {
    const largest = this.#names.take(`${name}_largest`);
    if (opsetOf(this.#model) < OPSET_WITH_AXES_INPUT) {
      this.#node("ReduceMax", node, [magnitudes], [largest], { axes: [-1], keepdims: 1 });
      return largest;
    }
    const axes = this.#constant("last_axis", "INT64", [1], BigInt64Array.of(-1n));
    this.#node("ReduceMax", node, [magnitudes, axes], [largest], { keepdims: 1 });
    return largest;
  }

  #zeroPoint(): string {
    return this.#constant("zero_point", "UINT8", [], Uint8Array.of(ZERO_POINT));
  }

  #float(name: string, value: number): string {
    return this.#constant(name, "FP32", [], Float32Array.of(value));
  }

  /** An initialiser that many nodes share. */
  #constant<D extends NumericDatatype>(
    wanted: string,
    datatype: D,
    shape: readonly number[],
    data: TensorArrays[D],
  ): string {
    const known = this.#constants.get(wanted);
    if (known !== undefined) return known;
    const name = this.#names.take(`int8/${wanted}`);
    this.#added.push(makeTensor(name, datatype, shape, data));
    this.#constants.set(wanted, name);
    return name;
  }

  /** @param factor multiplies the product: the alpha of a Gemm */
  #matrix(weights: TensorProto, transposed: boolean, factor: number): QuantizedTensor {
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

  #rows(table: TensorProto): QuantizedTensor {
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
    const used = readCounts(graph);
    const isGone = ({ name }: { name: string }): boolean =>
      this.#weights.has(name) && !used.has(name);
    graph.initializer = graph.initializer.filter((tensor) => !isGone(tensor));
    graph.input = graph.input.filter((input) => !isGone(input));
    graph.valueInfo = graph.valueInfo.filter((value) => !isGone(value));
  }
}

/** Names of int8 values and of the scales that make floats of them. */
interface QuantizedTensor {
  readonly values: string;
  readonly scales: string;
}

/** The float32 matrices of the main graph that are constant, finite and large enough. */
function quantizableWeights(
  model: OnnxModel,
  { minElements = DEFAULT_MIN_ELEMENTS, keepFloat = [] }: QuantizeOptions,
): Map<string, TensorProto> {
  const kept = new Set([...suppliedNames(model), ...keepFloat]);
  const weights = new Map<string, TensorProto>();
  for (const tensor of model.graph.initializer) {
    const shape = shapeOf(tensor);
    if (tensor.dataType !== DATATYPES.FP32.onnx || shape.length !== 2) continue;
    if (kept.has(tensor.name) || elementCount(shape) < Math.max(minElements, 1)) continue;
    if (float32Data(tensor).every(Number.isFinite)) weights.set(tensor.name, tensor);
  }
  return weights;
}
