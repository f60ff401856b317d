import { create } from "@bufbuild/protobuf";
import { type NodeProto, OperatorSetIdProtoSchema, type TensorProto } from "onnx-buf";

import {
  elementCount,
  type NumericDatatype,
  type Tensor,
  type TensorArrays,
} from "../runtime/tensor.ts";
import { type Range, valueRanges } from "./calibrate.ts";
import { type Convolution, convolutionsOf } from "./convolutions.ts";
import { quantizeRows } from "./onnx/int8.ts";
import {
  float32Data,
  type OnnxModel,
  opsetOf,
  readModel,
  shapeOf,
  writeModel,
} from "./onnx/model.ts";
import { readCounts, subgraphsOf, UniqueNames } from "./onnx/names.ts";
import { type Attributes, makeNode, makeTensor } from "./onnx/nodes.ts";

export interface QuantizedConvolutions {
  readonly onnx: Uint8Array<ArrayBuffer>;
  /** The former names of the nodes that were replaced. */
  readonly quantized: readonly string[];
}

/**
 * Smaller weights stay float. In a MobileNet they meet large maps: with all 52 convolutions in int8 it takes
 * twice the time of float32, with the 22 that have more than this 0.9 of it (onnxruntime-web's WASM, one
 * thread, measured).
 */
const MIN_ELEMENTS = 8_192;

/** Limits of a Clip are inputs from here on, and QLinearConv takes a scale per channel. */
const MIN_OPSET = 11;
const LARGEST_UINT8 = 255;
const LEAST_SCALE = 1e-30;

/** Where ONNX Runtime's own operators live. */
const ORT_DOMAIN = "com.microsoft";

/**
 * Static int8 quantization of convolutions where it pays: uint8 activations, whose ranges are measured on
 * some inputs, with symmetric int8 weights, scaled per output channel (QLinearConv). A Relu or Clip behind
 * one goes: where its range ends, uint8 ends, too. Depthwise convolutions stay float, for the WASM runtime
 * takes half as long for them so.
 *
 * @param inputs what the ranges are measured on: the model's fixtures; without any, it stays as it is
 */
export async function quantizeConvolutions(
  onnx: Uint8Array,
  inputs: readonly Readonly<Record<string, Tensor>>[],
): Promise<QuantizedConvolutions> {
  const model = readModel(onnx);
  const all = opsetOf(model) < MIN_OPSET || inputs.length === 0 ? [] : convolutionsOf(model);
  const chosen = all.filter(pays);
  if (chosen.length === 0) return { onnx: writeModel(model), quantized: [] };
  const values = new Set(chosen.flatMap(({ input, output }) => [input, output]));
  return new Quantizer(model, all, await valueRanges(onnx, [...values], inputs)).run();
}

function pays({ groups, weights }: Convolution): boolean {
  return (
    groups === 1 &&
    elementCount(shapeOf(weights)) >= MIN_ELEMENTS &&
    float32Data(weights).every(Number.isFinite)
  );
}

/** What stands for a float value. */
interface Uint8Value {
  readonly values: string;
  readonly scale: string;
  readonly zeroPoint: string;
  readonly step: number;
}

class Quantizer {
  readonly #model: OnnxModel;
  readonly #names: UniqueNames;
  readonly #ranges: ReadonlyMap<string, Range>;
  readonly #convolutions: ReadonlyMap<NodeProto, Convolution>;
  readonly #nodes: NodeProto[] = [];
  readonly #added: TensorProto[] = [];
  readonly #quantized: string[] = [];
  readonly #uint8 = new Map<string, Uint8Value>();
  /** Values whose float form nothing has computed yet. */
  readonly #withoutFloats = new Set<string>();
  /** Activations that are part of what became of their convolution. */
  readonly #gone = new Set<NodeProto>();

  constructor(
    model: OnnxModel,
    convolutions: readonly Convolution[],
    ranges: ReadonlyMap<string, Range>,
  ) {
    this.#model = model;
    this.#names = new UniqueNames(model.graph);
    this.#ranges = ranges;
    this.#convolutions = new Map(convolutions.map((one) => [one.node, one]));
  }

  run(): QuantizedConvolutions {
    const { graph, opsetImport } = this.#model;
    const before = new Set(graph.initializer.map(({ name }) => name));
    for (const node of graph.node) {
      const convolution = this.#convolutions.get(node);
      if (convolution && pays(convolution)) this.#replace(convolution);
      else if (!this.#gone.has(node)) {
        this.#restoreFloats(valuesReadBy(node));
        if (convolution) this.#keepFloat(convolution);
        else this.#nodes.push(node);
      }
    }
    this.#restoreFloats(graph.output.map(({ name }) => name));
    graph.node = this.#nodes;
    const used = readCounts(graph);
    const isGone = ({ name }: { name: string }): boolean => before.has(name) && !used.has(name);
    graph.input = graph.input.filter((input) => !isGone(input));
    graph.initializer = [...graph.initializer.filter((one) => !isGone(one)), ...this.#added];
    if (!opsetImport.some(({ domain }) => domain === ORT_DOMAIN)) {
      opsetImport.push(create(OperatorSetIdProtoSchema, { domain: ORT_DOMAIN, version: 1n }));
    }
    return { onnx: writeModel(this.#model), quantized: this.#quantized };
  }

  #replace({ node, activation, input, output, weights, bias }: Convolution): void {
    const from = this.#uint8Of(input);
    const to = this.#scaled(output);
    const shape = shapeOf(weights);
    const [channels = 0] = shape;
    const floats = float32Data(weights);
    const { values, scales } = quantizeRows(floats, channels, floats.length / channels);
    const inputs = [
      from.values,
      from.scale,
      from.zeroPoint,
      this.#constant(`${weights.name}_int8`, "INT8", shape, values),
      this.#constant(`${weights.name}_scales`, "FP32", [channels], scales),
      this.#constant(`${weights.name}_zeros`, "INT8", [channels], new Int8Array(channels)),
      to.scale,
      to.zeroPoint,
    ];
    if (bias !== undefined) {
      const whole = Int32Array.from(float32Data(bias), (value, channel) =>
        Math.round(value / (from.step * (scales[channel] ?? 1))),
      );
      inputs.push(this.#constant(`${bias.name}_int32`, "INT32", [channels], whole));
    }
    this.#node(node, "QLinearConv", inputs, to.values);
    if (activation !== undefined) this.#gone.add(activation.node);
    this.#uint8.set(output, to);
    this.#withoutFloats.add(output);
    this.#quantized.push(node.name);
  }

  /**
   * A float convolution between uint8 values, its activation included, as an operator of ONNX Runtime's own:
   * of a plain Conv there it quantizes the weights itself, with one scale for all channels, which a depthwise
   * one does not survive (measured: 63 of 97 pictures kept their class, 95 so).
   */
  #keepFloat({ node, activation, input, output }: Convolution): void {
    if (!this.#uint8.has(input)) {
      this.#nodes.push(node);
      return;
    }
    if (activation !== undefined) this.#gone.add(activation.node);
    this.#node(node, "FusedConv", node.input, output, activationAttributes(activation), ORT_DOMAIN);
  }

  #uint8Of(value: string): Uint8Value {
    const known = this.#uint8.get(value);
    if (known !== undefined) return known;
    const made = this.#scaled(value);
    const name = this.#names.take(`${value}/QuantizeLinear`);
    const inputs = [value, made.scale, made.zeroPoint];
    this.#nodes.push(makeNode({ name, opType: "QuantizeLinear", inputs, outputs: [made.values] }));
    this.#uint8.set(value, made);
    return made;
  }

  #scaled(value: string): Uint8Value {
    const { lowest, highest } = this.#ranges.get(value) ?? { lowest: 0, highest: 0 };
    const step = Math.fround(Math.max((highest - lowest) / LARGEST_UINT8, LEAST_SCALE));
    const zeroPoint = Math.min(LARGEST_UINT8, Math.max(0, Math.round(-lowest / step)));
    return {
      step,
      values: this.#names.take(`${value}_uint8`),
      scale: this.#constant(`${value}_scale`, "FP32", [], Float32Array.of(step)),
      zeroPoint: this.#constant(`${value}_zero_point`, "UINT8", [], Uint8Array.of(zeroPoint)),
    };
  }

  #restoreFloats(values: Iterable<string>): void {
    for (const value of values) {
      const stored = this.#uint8.get(value);
      if (stored === undefined || !this.#withoutFloats.delete(value)) continue;
      const name = this.#names.take(`${value}/DequantizeLinear`);
      const inputs = [stored.values, stored.scale, stored.zeroPoint];
      this.#nodes.push(makeNode({ name, opType: "DequantizeLinear", inputs, outputs: [value] }));
    }
  }

  /** In the place of a convolution, with its attributes. */
  #node(
    replaced: NodeProto,
    opType: string,
    inputs: readonly string[],
    output: string,
    attributes: Attributes = {},
    domain = "",
  ): void {
    const name = this.#names.take(`${replaced.name}/${opType}`);
    const node = makeNode({ name, opType, inputs, outputs: [output], attributes, domain });
    node.attribute.unshift(...replaced.attribute);
    this.#nodes.push(node);
  }

  #constant<D extends NumericDatatype>(
    wanted: string,
    datatype: D,
    shape: readonly number[],
    data: TensorArrays[D],
  ): string {
    const name = this.#names.take(wanted);
    this.#added.push(makeTensor(name, datatype, shape, data));
    return name;
  }
}

const LARGEST_FLOAT32 = 3.4028234663852886e38;

function activationAttributes(activation: Convolution["activation"]): Attributes {
  if (activation === undefined) return {};
  if (activation.node.opType === "Relu") return { activation: "Relu" };
  const limits = [activation.lowest, activation.highest].map((limit) =>
    Math.min(LARGEST_FLOAT32, Math.max(-LARGEST_FLOAT32, limit)),
  );
  return { activation: "Clip", activation_params: { floats: limits } };
}

function valuesReadBy(node: NodeProto): Iterable<string> {
  const counts = new Map<string, number>();
  for (const graph of subgraphsOf(node)) readCounts(graph, counts);
  return [...node.input, ...counts.keys()];
}
