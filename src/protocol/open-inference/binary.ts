import { NearsideError } from "../../errors.ts";
import {
  DATATYPES,
  type Datatype,
  type Tensor,
  bytesOf,
  elementCount,
  isDatatype,
  tensorOf,
} from "../../runtime/tensor.ts";
import { type BinaryBody, type BinaryPart, decodeBody, join } from "./binary-body.ts";
import { classified } from "./classification.ts";
import { decodeElements, malformed, object } from "./elements.ts";
import { elements } from "./encode.ts";
import {
  asksForBinary,
  binarySizeOf,
  type RequestedOutput,
  requestedOutputs,
} from "./parameters.ts";
import { bytesOfTexts, textsOf, wrongSize } from "./strings.ts";

export { BINARY_MEDIA_TYPE, HEADER_LENGTH, headerLengthOf } from "./binary-body.ts";
export type { RequestedOutput } from "./parameters.ts";

/** A request as any server of the protocol takes it: nothing of it is checked against a model. */
export interface TensorRequest {
  readonly id: string | undefined;
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Undefined where none are named: all of the model's. */
  readonly outputs: readonly RequestedOutput[] | undefined;
  /** For outputs that are not named. */
  readonly binaryOutputs: boolean;
}

/** What a server answers. */
export interface TensorResponse {
  readonly model: string;
  readonly version?: string | undefined;
  readonly id?: string | undefined;
  readonly outputs: readonly (RequestedOutput & { readonly tensor: Tensor })[];
  /** Of the model's classes, for outputs that are classified. */
  readonly labels?: readonly string[] | undefined;
}

/**
 * Encodes a request whose tensors, and those of its answer, are raw bytes.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 *
 * @param request `outputs` undefined for all of the model's
 *
 * @example
 * const x = { datatype: "FP32", shape: [1, 2], data: Float32Array.of(1, 2) } as const;
 * const { body, headerLength } = encodeBinaryRequest({ inputs: { x } });
 */
export function encodeBinaryRequest(request: {
  readonly id?: string | undefined;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs?: readonly string[] | undefined;
}): BinaryBody & { readonly headerLength: number } {
  const parts: Uint8Array[] = [];
  const header = {
    ...(request.id !== undefined && { id: request.id }),
    inputs: Object.entries(request.inputs).map(([name, tensor]) => binary(name, tensor, parts)),
    ...(request.outputs !== undefined && {
      outputs: request.outputs.map((name) => ({ name, parameters: { binary_data: true } })),
    }),
    parameters: { binary_data_output: true },
  };
  return join(header, parts);
}

/**
 * Decodes a request: tensors as bytes, as JSON, or both.
 *
 * @param headerLength undefined for a body that is JSON alone
 * @throws NearsideError `invalid_json`, `invalid_request`, `invalid_tensor`
 */
export function decodeBinaryRequest(
  bytes: Uint8Array<ArrayBuffer>,
  headerLength: number | undefined,
): TensorRequest {
  return decodeBody(bytes, headerLength, (document, binaryPart) => {
    const { id, inputs, outputs, parameters } = object(document, "");
    if (id !== undefined && typeof id !== "string") throw malformed("id", "must be a string");
    const binaryOutputs = asksForBinary(parameters);
    return {
      id,
      inputs: decodeTensors(inputs, "inputs", binaryPart),
      outputs: outputs === undefined ? undefined : requestedOutputs(outputs, binaryOutputs),
      binaryOutputs,
    };
  });
}

/** Encodes an answer: each output as bytes or as JSON, and its classes where they are asked for. */
export function encodeBinaryResponse({
  model,
  version,
  id,
  outputs,
  labels,
}: TensorResponse): BinaryBody & {
  /** The place of each output in the body that is there as bytes, in their order. */
  readonly places: readonly Uint8Array<ArrayBuffer>[];
} {
  const parts: Uint8Array[] = [];
  const whole = join(
    {
      model_name: model,
      ...(version !== undefined && { model_version: version }),
      ...(id !== undefined && { id }),
      outputs: outputs.map(({ name, tensor: computed, binary: asBytes, classification }) => {
        const tensor = classification ? classified(computed, classification, labels) : computed;
        const { datatype, shape } = tensor;
        return asBytes
          ? binary(name, tensor, parts)
          : { name, datatype, shape, data: elements(tensor) };
      }),
    },
    parts,
  );
  return outputs.some((output) => output.binary) ? whole : { ...whole, headerLength: undefined };
}

/**
 * Decodes an answer: tensors as bytes, as JSON, or both.
 *
 * @param headerLength undefined for a body that is JSON alone
 * @throws NearsideError `origin_failed` when it is not what the protocol says
 */
export function decodeBinaryResponse(
  bytes: Uint8Array<ArrayBuffer>,
  headerLength: number | undefined,
): Record<string, Tensor> {
  try {
    return decodeBody(bytes, headerLength, (document, binaryPart) =>
      decodeTensors(object(document, "")["outputs"], "outputs", binaryPart),
    );
  } catch (cause) {
    throw new NearsideError("origin_failed", "The origin's answer can't be read.", { cause });
  }
}

/** A tensor's place in the header; its bytes go to `parts`. */
function binary(name: string, tensor: Tensor, parts: Uint8Array[]): object {
  const bytes = tensor.datatype === "BYTES" ? bytesOfTexts(tensor.data) : bytesOf(tensor);
  parts.push(bytes);
  const { datatype, shape } = tensor;
  return { name, datatype, shape, parameters: { binary_data_size: bytes.length } };
}

function decodeTensors(
  tensors: unknown,
  field: string,
  binaryPart: BinaryPart,
): Record<string, Tensor> {
  if (!Array.isArray(tensors)) throw malformed(field, "must be an array of tensors");
  const decoded: Record<string, Tensor> = Object.create(null);
  for (const [index, tensor] of tensors.entries()) {
    const place = `${field}[${index}]`;
    const { name, datatype, shape, data, parameters } = object(tensor, place);
    if (typeof name !== "string") throw malformed(`${place}.name`, "must be a string");
    if (name in decoded) throw malformed(`${place}.name`, `repeats "${name}"`);
    if (typeof datatype !== "string" || !isDatatype(datatype)) {
      throw malformed(`${place}.datatype`, "must be a datatype of the protocol, such as FP32");
    }
    const dimensions = shapeOf(shape, `${place}.shape`);
    const size = binarySizeOf({ data, parameters }, place);
    const sizeField = `${place}.parameters.binary_data_size`;
    decoded[name] =
      size === undefined
        ? decodeElements(datatype, dimensions, data, `${place}.data`)
        : decodeBytes(datatype, dimensions, binaryPart.take(size, sizeField), sizeField);
  }
  return decoded;
}

const MAX_RANK = 8;

function shapeOf(shape: unknown, field: string): number[] {
  const isShape =
    Array.isArray(shape) &&
    shape.length <= MAX_RANK &&
    shape.every((size) => Number.isInteger(size) && size >= 0 && size <= 0x7fff_ffff);
  if (isShape) return shape as number[];
  throw malformed(field, "must be an array of non-negative integers");
}

function decodeBytes(
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array<ArrayBuffer>,
  field: string,
): Tensor {
  if (datatype === "BYTES") return { datatype, shape, data: textsOf(bytes, shape, field) };
  if (elementCount(shape) * DATATYPES[datatype].bytes !== bytes.length) {
    throw wrongSize(datatype, shape, bytes.length, field);
  }
  // A copy: a tensor that is kept shouldn't hold the whole body.
  return tensorOf({ datatype, shape, bytes: bytes.slice() });
}
