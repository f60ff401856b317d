import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from "onnx-buf";

import {
  DATATYPES,
  elementCount,
  type NumericDatatype,
  type TensorArrays,
} from "../../runtime/tensor.ts";
import { OnnxError } from "./error.ts";
import { bytesOf } from "./model.ts";

/** An attribute of a node: whole numbers are ONNX ints; wrap what ONNX defines as a float or floats. */
export type AttributeValue =
  | number
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | string
  | readonly number[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

export interface NodeInit {
  name: string;
  opType: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes?: Attributes;
  /** Empty for ai.onnx. */
  domain?: string;
}

export function makeNode(init: NodeInit): NodeProto {
  return create(NodeProtoSchema, {
    name: init.name,
    opType: init.opType,
    input: [...init.inputs],
    output: [...init.outputs],
    attribute: Object.entries(init.attributes ?? {}).map(([name, value]) =>
      makeAttribute(name, value),
    ),
    ...(init.domain === undefined ? {} : { domain: init.domain }),
  });
}

function makeAttribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === "number") {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeProto_AttributeType.INT,
      i: BigInt(value),
    });
  }
  if (typeof value === "string") {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeProto_AttributeType.STRING,
      s: new Uint8Array(new TextEncoder().encode(value)),
    });
  }
  if ("float" in value) {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeProto_AttributeType.FLOAT,
      f: value.float,
    });
  }
  if ("floats" in value) {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeProto_AttributeType.FLOATS,
      floats: [...value.floats],
    });
  }
  return create(AttributeProtoSchema, {
    name,
    type: AttributeProto_AttributeType.INTS,
    ints: value.map(BigInt),
  });
}

/** An initialiser; `data` is in row-major order. */
export function makeTensor<D extends NumericDatatype>(
  name: string,
  datatype: D,
  shape: readonly number[],
  data: TensorArrays[D],
): TensorProto {
  if (data.length !== elementCount(shape)) {
    throw new OnnxError(
      "invalid_tensor",
      `"${name}" has ${data.length} elements, but shape [${shape.join(", ")}].`,
    );
  }
  return create(TensorProtoSchema, {
    name,
    dataType: DATATYPES[datatype].onnx,
    dims: shape.map(BigInt),
    rawData: bytesOf(data),
  });
}

export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const attribute = node.attribute.find((candidate) => candidate.name === name);
  return attribute === undefined ? fallback : Number(attribute.i);
}

export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return node.attribute.find((candidate) => candidate.name === name)?.f ?? fallback;
}
