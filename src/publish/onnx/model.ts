import { clearField, create, fromBinary, isFieldSet, toBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from "onnx-buf";

import {
  arrayOf,
  type Datatype,
  DATATYPES,
  datatypeFromOnnx,
  elementCount,
  type NumericDatatype,
} from "../../runtime/tensor.ts";
import { OnnxError } from "./error.ts";

/** A model whose graph is known to be there. */
export type OnnxModel = ModelProto & { graph: GraphProto };

/** @throws OnnxError `not_onnx` when the bytes aren't a ModelProto with a graph */
export function readModel(onnx: Uint8Array): OnnxModel {
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, onnx);
  } catch (cause) {
    throw new OnnxError("not_onnx", "The file is not an ONNX model.", { cause });
  }
  if (!hasGraph(model)) throw new OnnxError("not_onnx", "The file holds no ONNX graph.");
  return model;
}

function hasGraph(model: ModelProto): model is OnnxModel {
  return model.graph !== undefined;
}

/** The same model gives the same bytes: fields are written in the order of their numbers. */
export function writeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  return toBinary(ModelProtoSchema, model);
}

/** Version of the operators of ai.onnx that the model uses. */
export function opsetOf(model: ModelProto): number {
  const entry = model.opsetImport.find(({ domain }) => isDefaultDomain(domain));
  return Number(entry?.version ?? 0n);
}

export function isDefaultDomain(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

export function shapeOf(tensor: TensorProto): number[] {
  return tensor.dims.map(Number);
}

export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === TensorProto_DataLocation.EXTERNAL;
}

/** From this format on, an initialiser that is listed as an input may be overridden by the caller. */
const IR_WITH_OPTIONAL_INPUTS = 4n;

/** Names of the values that a caller may give: those of initialisers among them aren't constant. */
export function suppliedNames({ irVersion, graph }: OnnxModel): Set<string> {
  const names = new Set(graph.input.map(({ name }) => name));
  if (irVersion >= IR_WITH_OPTIONAL_INPUTS) return names;
  for (const { name } of graph.initializer) names.delete(name);
  return names;
}

/** @throws OnnxError `unsupported_datatype` for element types that Nearside doesn't carry */
export function datatypeOf(elementType: number, name: string): Datatype {
  const datatype = datatypeFromOnnx(elementType);
  if (datatype !== undefined) return datatype;
  throw new OnnxError(
    "unsupported_datatype",
    `"${name}" has ONNX element type ${elementType}; supported are ${Object.keys(DATATYPES).join(", ")}.`,
  );
}

/**
 * The elements of an initialiser as little-endian bytes, in whichever field the exporter put them.
 * @throws OnnxError when the data is external, of strings, or not of the shape's size
 */
export function initializerBytes(tensor: TensorProto): Uint8Array {
  if (isExternal(tensor)) {
    throw new OnnxError(
      "already_external",
      `The data of "${tensor.name}" is in another file; save the model with its weights inside.`,
    );
  }
  const isRaw = isFieldSet(tensor, TensorProtoSchema.field.rawData);
  // Element types that Nearside doesn't carry can still be moved, as they are.
  if (isRaw && datatypeFromOnnx(tensor.dataType) === undefined) return tensor.rawData;
  const datatype = datatypeOf(tensor.dataType, tensor.name);
  if (datatype === "BYTES") {
    throw new OnnxError("unsupported_datatype", `"${tensor.name}" holds strings, not numbers.`);
  }
  const bytes = isRaw ? tensor.rawData : bytesOf(typedField(tensor, datatype));
  const expected = elementCount(shapeOf(tensor)) * DATATYPES[datatype].bytes;
  if (bytes.byteLength !== expected) {
    throw new OnnxError(
      "invalid_tensor",
      `"${tensor.name}" has ${bytes.byteLength} bytes, but its shape needs ${expected}.`,
    );
  }
  return bytes;
}

/** `TensorProto` keeps small integers and the bits of FP16 and BF16 in int32_data, UINT32 in uint64_data. */
function typedField(tensor: TensorProto, datatype: NumericDatatype) {
  switch (datatype) {
    case "FP32":
      return Float32Array.from(tensor.floatData);
    case "FP64":
      return Float64Array.from(tensor.doubleData);
    case "INT64":
      return BigInt64Array.from(tensor.int64Data);
    case "UINT64":
      return BigUint64Array.from(tensor.uint64Data);
    case "UINT32":
      return Uint32Array.from(tensor.uint64Data, Number);
    case "INT32":
    case "INT16":
    case "INT8":
    case "UINT16":
    case "UINT8":
    case "BOOL":
    case "FP16":
    case "BF16":
      return arrayOf(datatype).from(tensor.int32Data);
  }
}

/** The elements of a float32 initialiser, in row-major order. */
export function float32Data(tensor: TensorProto): Float32Array<ArrayBuffer> {
  if (datatypeOf(tensor.dataType, tensor.name) !== "FP32") {
    throw new OnnxError("unsupported_datatype", `"${tensor.name}" is not a float32 tensor.`);
  }
  // A copy: protobuf's view need not be aligned to four bytes.
  return new Float32Array(new Uint8Array(initializerBytes(tensor)).buffer);
}

/**
 * Moves an initialiser's data to a place in another file.
 * @param offset in bytes, from the beginning of that file
 */
export function pointToExternalData(
  tensor: TensorProto,
  location: string,
  offset: number,
  length: number,
): void {
  const { field } = TensorProtoSchema;
  clearField(tensor, field.rawData);
  tensor.floatData = [];
  tensor.int32Data = [];
  tensor.int64Data = [];
  tensor.doubleData = [];
  tensor.uint64Data = [];
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
  tensor.externalData = [
    externalEntry("location", location),
    externalEntry("offset", String(offset)),
    externalEntry("length", String(length)),
  ];
}

function externalEntry(key: string, value: string) {
  return create(StringStringEntryProtoSchema, { key, value });
}

/** Numbers as the little-endian bytes that raw_data wants; every platform of Nearside is little-endian. */
export function bytesOf(data: ArrayBufferView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}
