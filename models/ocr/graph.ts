import { create } from "@bufbuild/protobuf";
import { type NodeProto, ValueInfoProtoSchema } from "onnx-buf";

import { readModel, writeModel, type OnnxModel } from "../../src/publish/onnx/model.ts";
import { type Attributes, makeNode, makeTensor } from "../../src/publish/onnx/nodes.ts";
import { DATATYPES, type Datatype } from "../../src/runtime/tensor.ts";

/** What the authors' pictures look like to their models: blue first. */
export interface PixelScale {
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
}

type Shape = readonly (number | string)[];

/** Channels of RGBA in the authors' order. */
const BLUE_GREEN_RED = [2, 1, 0];
const PREFIX = "nearside";

/** A published graph of the authors, to which nodes are added at either end. */
export class ExtendedGraph {
  readonly #model: OnnxModel;
  readonly #before: NodeProto[] = [];
  readonly #after: NodeProto[] = [];

  constructor(onnx: Uint8Array) {
    this.#model = readModel(onnx);
  }

  /** Takes `pixels` UINT8 [batch, height, width, 4] as RGBA instead of scaled floats, channels first. */
  takePixels({ mean, deviation }: PixelScale, [batch, height, width]: Shape): void {
    const { graph } = this.#model;
    const [input] = graph.input;
    if (input === undefined) throw new Error("The graph takes nothing.");
    const scale = deviation.map((value) => 1 / (255 * value));
    const shift = mean.map((value, channel) => -value / (deviation[channel] ?? 1));
    graph.initializer.push(
      makeTensor(`${PREFIX}/channels`, "INT64", [3], BigInt64Array.from(BLUE_GREEN_RED, BigInt)),
      makeTensor(`${PREFIX}/scale`, "FP32", [3, 1, 1], Float32Array.from(scale)),
      makeTensor(`${PREFIX}/shift`, "FP32", [3, 1, 1], Float32Array.from(shift)),
    );
    const step = this.#adder(this.#before);
    const channels = step("Gather", ["pixels", `${PREFIX}/channels`], "colours", { axis: 3 });
    const planes = step("Transpose", [channels], "planes", { perm: [0, 3, 1, 2] });
    const floats = step("Cast", [planes], "floats", { to: DATATYPES.FP32.onnx });
    const scaled = step("Mul", [floats, `${PREFIX}/scale`], "scaled");
    this.#before.push(
      makeNode({
        name: `${PREFIX}/shifted`,
        opType: "Add",
        inputs: [scaled, `${PREFIX}/shift`],
        outputs: [input.name],
      }),
    );
    graph.input = [valueInfo("pixels", "UINT8", [batch ?? 1, height ?? 1, width ?? 1, 4])];
  }

  /** The value that the authors' graph answers with. */
  get answer(): string {
    return this.#model.graph.output[0]?.name ?? "";
  }

  /** Adds a node behind the others. @returns the name of its output */
  append(opType: string, inputs: readonly string[], output: string, attributes: Attributes = {}) {
    this.#after.push(
      makeNode({ name: `${PREFIX}/${output}`, opType, inputs, outputs: [output], attributes }),
    );
    return output;
  }

  toBytes(outputs: Readonly<Record<string, readonly [Datatype, Shape]>>): Uint8Array {
    const { graph } = this.#model;
    graph.node = [...this.#before, ...graph.node, ...this.#after];
    graph.output = Object.entries(outputs).map(([name, [datatype, shape]]) =>
      valueInfo(name, datatype, shape),
    );
    return writeModel(this.#model);
  }

  #adder(nodes: NodeProto[]) {
    return (
      opType: string,
      inputs: string[],
      name: string,
      attributes: Attributes = {},
    ): string => {
      const output = `${PREFIX}/${name}`;
      nodes.push(makeNode({ name: output, opType, inputs, outputs: [output], attributes }));
      return output;
    };
  }
}

function valueInfo(name: string, datatype: Datatype, shape: Shape) {
  const dim = shape.map((size) => ({
    value:
      typeof size === "string"
        ? ({ case: "dimParam", value: size } as const)
        : ({ case: "dimValue", value: BigInt(size) } as const),
  }));
  const elemType = DATATYPES[datatype].onnx;
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } },
  });
}
