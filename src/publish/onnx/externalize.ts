import type { TensorProto } from "onnx-buf";

import { DATATYPES, datatypeFromOnnx } from "../../runtime/tensor.ts";
import {
  initializerBytes,
  isExternal,
  pointToExternalData,
  readModel,
  shapeOf,
  writeModel,
} from "./model.ts";
import { OnnxError } from "./error.ts";

/** A cache line: vector loads of mapped weights never straddle two. */
const ALIGNMENT_BYTES = 64;

export interface Externalized {
  readonly graph: Uint8Array<ArrayBuffer>;
  /** What the graph refers to by name; undefined when no initialiser was large enough. */
  readonly weights: Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Moves the large initialisers of the main graph to external data, which keeps the runtime's heap
 * small while it loads. Subgraphs and string tensors stay as they are.
 * @throws OnnxError `already_external` when the model has external data already
 */
export function externalize(
  onnx: Uint8Array,
  weightsName = "weights.bin",
  minBytes = 1024,
): Externalized {
  const model = readModel(onnx);
  const moved: { tensor: TensorProto; bytes: Uint8Array; offset: number }[] = [];
  let end = 0;
  for (const tensor of model.graph.initializer) {
    if (isExternal(tensor)) {
      throw new OnnxError("already_external", `"${tensor.name}" has external data already.`);
    }
    const bytes = movableBytes(tensor);
    if (bytes === undefined || bytes.byteLength < minBytes) continue;
    const offset = Math.ceil(end / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    moved.push({ tensor, bytes, offset });
    end = offset + bytes.byteLength;
  }
  if (moved.length === 0) return { graph: writeModel(model), weights: undefined };

  const weights = new Uint8Array(end);
  for (const { tensor, bytes, offset } of moved) {
    weights.set(bytes, offset);
    pointToExternalData(tensor, weightsName, offset, bytes.byteLength);
  }
  return { graph: writeModel(model), weights };
}

/** Undefined for strings, and for exotic element types that aren't in raw_data. */
function movableBytes(tensor: TensorProto): Uint8Array | undefined {
  if (tensor.dataType === DATATYPES.BYTES.onnx || shapeOf(tensor).includes(0)) return undefined;
  const known = datatypeFromOnnx(tensor.dataType) !== undefined;
  return known || tensor.rawData.length > 0 ? initializerBytes(tensor) : undefined;
}
