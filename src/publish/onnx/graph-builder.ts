import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";

import {
  type Datatype,
  DATATYPES,
  type NumericDatatype,
  type TensorArrays,
} from "../../runtime/tensor.ts";
import { writeModel } from "./model.ts";
import { type Attributes, makeNode, makeTensor } from "./nodes.ts";

/** LayerNormalization needs 17; both ONNX Runtimes that we run know far newer ones. */
const OPSET = 17;
/** The file format that came with opset 17. */
const IR_VERSION = 8;

/** A name stands for a dimension that the request chooses. */
export type SymbolicShape = readonly (number | string)[];

/**
 * Writes ONNX graphs node by node. Every method returns the name of a value, to be used as an input:
 * the same calls give the same bytes.
 *
 * @example
 * const graph = new GraphBuilder("double");
 * const x = graph.input("x", "FP32", ["batch", 2]);
 * graph.op("Add", [x, x], {}, "y");
 * graph.output("y", "FP32", ["batch", 2]);
 * const onnx = graph.toBytes();
 */
export class GraphBuilder {
  readonly #graph: GraphProto;
  readonly #constants = new Set<string>();

  constructor(name: string) {
    this.#graph = create(GraphProtoSchema, { name });
  }

  input(name: string, datatype: Datatype, shape: SymbolicShape): string {
    this.#graph.input.push(valueInfo(name, datatype, shape));
    return name;
  }

  output(name: string, datatype: Datatype, shape: SymbolicShape): string {
    this.#graph.output.push(valueInfo(name, datatype, shape));
    return name;
  }

  /** Adds a constant tensor, once: a second call with the same name refers to the first. */
  initializer<D extends NumericDatatype>(
    name: string,
    datatype: D,
    shape: readonly number[],
    data: TensorArrays[D],
  ): string {
    if (!this.#constants.has(name)) {
      this.#constants.add(name);
      this.#graph.initializer.push(makeTensor(name, datatype, shape, data));
    }
    return name;
  }

  /** A float32 constant; without a shape, a scalar. */
  floats(name: string, values: Iterable<number>, shape: readonly number[] = []): string {
    return this.initializer(name, "FP32", shape, Float32Array.from(values));
  }

  /** An int64 vector, such as axes or the target of a Reshape. */
  int64s(name: string, values: readonly number[]): string {
    return this.initializer(name, "INT64", [values.length], BigInt64Array.from(values.map(BigInt)));
  }

  /** Adds a node with one output. */
  op(
    opType: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    output = `${opType}_${this.#graph.node.length}`,
  ): string {
    this.node(opType, inputs, [output], attributes);
    return output;
  }

  /** Adds a node with any number of outputs; empty names are optional ones that are left out. */
  node(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Attributes = {},
    domain?: string,
  ): void {
    const name = `${opType}/${this.#graph.node.length}`;
    const optional = domain === undefined ? {} : { domain };
    this.#graph.node.push(makeNode({ name, opType, inputs, outputs, attributes, ...optional }));
  }

  /**
   * Adds a node of control flow: `If`, `Loop` or `Scan`.
   * @param bodies graphs by attribute; they may read every value of this graph
   */
  control(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    bodies: Readonly<Record<string, GraphBuilder>>,
  ): void {
    const name = `${opType}/${this.#graph.node.length}`;
    const node = makeNode({ name, opType, inputs, outputs });
    for (const [attribute, body] of Object.entries(bodies)) {
      node.attribute.push(
        create(AttributeProtoSchema, {
          name: attribute,
          type: AttributeProto_AttributeType.GRAPH,
          g: body.#graph,
        }),
      );
    }
    this.#graph.node.push(node);
  }

  /** @param metadata free-form properties of the model, kept in their order */
  toBytes(metadata: Readonly<Record<string, string>> = {}): Uint8Array<ArrayBuffer> {
    return writeModel(
      create(ModelProtoSchema, {
        irVersion: BigInt(IR_VERSION),
        producerName: "nearside",
        graph: this.#graph,
        opsetImport: [{ domain: "", version: BigInt(OPSET) }],
        metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      }),
    );
  }
}

function valueInfo(name: string, datatype: Datatype, shape: SymbolicShape): ValueInfoProto {
  const dim = shape.map((dimension) => ({
    value:
      typeof dimension === "string"
        ? ({ case: "dimParam", value: dimension } as const)
        : ({ case: "dimValue", value: BigInt(dimension) } as const),
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: { elemType: DATATYPES[datatype].onnx, shape: { dim } },
      },
    },
  });
}
