import { NearsideError } from "../../errors.ts";
import {
  DATATYPES,
  type Datatype,
  type Tensor,
  arrayOf,
  elementCount,
  isDatatype,
} from "../../runtime/tensor.ts";
import { decodeJson } from "../body.ts";
import { decodeElements, malformed, object, parseTensors } from "./elements.ts";
import { elements } from "./encode.ts";

/** Says how many bytes of the body are JSON; the tensors' bytes come behind them. */
export const HEADER_LENGTH = "inference-header-content-length";

/** The media type of a body with that header. */
export const BINARY_MEDIA_TYPE = "application/octet-stream";

/** A body of the binary tensor data extension. */
export interface BinaryBody {
  readonly body: Uint8Array<ArrayBuffer>;
  /** For the header; undefined where the body is JSON alone. */
  readonly headerLength: number | undefined;
}

/** An output that a request asks for. */
export interface RequestedOutput {
  readonly name: string;
  readonly binary: boolean;
}

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
    const binaryOutputs = parametersOf(parameters, "parameters").binary_data_output === true;
    return {
      id,
      inputs: decodeTensors(inputs, "inputs", binaryPart),
      outputs: outputs === undefined ? undefined : requestedOutputs(outputs, binaryOutputs),
      binaryOutputs,
    };
  });
}

/** Encodes an answer: each output as bytes or as JSON. */
export function encodeBinaryResponse({ model, version, id, outputs }: TensorResponse): BinaryBody {
  const parts: Uint8Array[] = [];
  const body = join(
    {
      model_name: model,
      ...(version !== undefined && { model_version: version }),
      ...(id !== undefined && { id }),
      outputs: outputs.map(({ name, tensor, binary: asBytes }) =>
        asBytes
          ? binary(name, tensor, parts)
          : { name, datatype: tensor.datatype, shape: tensor.shape, data: elements(tensor) },
      ),
    },
    parts,
  );
  return outputs.some((output) => output.binary) ? body : { ...body, headerLength: undefined };
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

/** The value of the header; undefined without one. @throws NearsideError `invalid_request` */
export function headerLengthOf(headers: Headers): number | undefined {
  const value = headers.get(HEADER_LENGTH);
  if (value === null) return undefined;
  if (/^\d{1,10}$/.test(value)) return Number(value);
  throw new NearsideError("invalid_request", `The header ${HEADER_LENGTH} must be a number.`, {
    field: HEADER_LENGTH,
  });
}

const encoder = new TextEncoder();

/** A body with the tensors' bytes behind its JSON. */
export function join(header: object, parts: readonly Uint8Array[]) {
  const json = encoder.encode(JSON.stringify(header));
  const body = new Uint8Array(parts.reduce((sum, { length }) => sum + length, json.length));
  body.set(json);
  let at = json.length;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return { body, headerLength: json.length };
}

/** A tensor's place in the header; its bytes go to `parts`. */
function binary(name: string, tensor: Tensor, parts: Uint8Array[]): object {
  const bytes = bytesOf(tensor);
  parts.push(bytes);
  const { datatype, shape } = tensor;
  return { name, datatype, shape, parameters: { binary_data_size: bytes.length } };
}

const LENGTH_BYTES = 4;

/** Row-major, little-endian, as WASM and every server's machine have them; a string follows its length. */
function bytesOf({ datatype, data }: Tensor): Uint8Array {
  if (datatype !== "BYTES") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const texts = data.map((text) => encoder.encode(text));
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + LENGTH_BYTES + text.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    bytes.set(text, at + LENGTH_BYTES);
    at += LENGTH_BYTES + text.length;
  }
  return bytes;
}

/** Gives out what follows the JSON, tensor by tensor. */
export interface BinaryPart {
  take(bytes: number, field: string): Uint8Array<ArrayBuffer>;
}

/** Decodes a body by its JSON; every byte behind it must be taken. @throws NearsideError */
export function decodeBody<T>(
  bytes: Uint8Array<ArrayBuffer>,
  headerLength: number | undefined,
  decode: (document: unknown, binaryPart: BinaryPart) => T,
): T {
  const length = headerLength ?? bytes.length;
  if (!(length >= 0 && length <= bytes.length)) {
    throw new NearsideError("invalid_request", "The body is not as long as its JSON should be.", {
      field: HEADER_LENGTH,
    });
  }
  // A function, because integers of 64 bits may need the document to be read twice.
  return parseTensors(decodeJson(bytes.subarray(0, length)), (document) => {
    let at = length;
    const decoded = decode(document, {
      take(count, field) {
        if (count > bytes.length - at) throw malformed(field, "is larger than what is left");
        at += count;
        return bytes.subarray(at - count, at);
      },
    });
    if (at === bytes.length) return decoded;
    throw malformed("", `has ${bytes.length - at} bytes that belong to no tensor`);
  });
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
        : tensorOf(datatype, dimensions, binaryPart.take(size, sizeField), sizeField);
  }
  return decoded;
}

/** How many bytes of a tensor stand behind the JSON; undefined where its data is in it. */
export function binarySizeOf(
  { data, parameters }: { readonly data: unknown; readonly parameters: unknown },
  field: string,
): number | undefined {
  const { binary_data_size: size } = parametersOf(parameters, `${field}.parameters`);
  if (size === undefined) return undefined;
  if (data !== undefined) throw malformed(field, "has both data and binary data");
  if (Number.isSafeInteger(size) && (size as number) >= 0) return size as number;
  throw malformed(`${field}.parameters.binary_data_size`, "must be a number of bytes");
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

function tensorOf(
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array<ArrayBuffer>,
  field: string,
): Tensor {
  if (datatype === "BYTES") return { datatype, shape, data: textsOf(bytes, shape, field) };
  if (elementCount(shape) * DATATYPES[datatype].bytes !== bytes.length) {
    throw wrongSize(datatype, shape, bytes.length, field);
  }
  // A copy: an array of wider elements can't begin just anywhere, and shouldn't hold the whole body.
  return { datatype, shape, data: new (arrayOf(datatype))(bytes.slice().buffer) } as Tensor;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textsOf(bytes: Uint8Array, shape: readonly number[], field: string): string[] {
  const texts: string[] = [];
  for (const text of stringsOf(bytes, shape, field)) {
    try {
      texts.push(utf8.decode(text));
    } catch {
      throw new NearsideError("invalid_tensor", "A string is not UTF-8.", { field });
    }
  }
  return texts;
}

/** The strings of a tensor, which follow their lengths. @throws NearsideError `invalid_tensor` */
export function stringsOf(
  bytes: Uint8Array,
  shape: readonly number[],
  field: string,
): Uint8Array[] {
  const texts: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    const start = at + LENGTH_BYTES;
    if (start > bytes.length) throw wrongSize("BYTES", shape, bytes.length, field);
    at = start + view.getUint32(at, true);
    if (at > bytes.length) throw wrongSize("BYTES", shape, bytes.length, field);
    texts.push(bytes.subarray(start, at));
  }
  if (texts.length === elementCount(shape)) return texts;
  throw wrongSize("BYTES", shape, bytes.length, field);
}

/** Bytes that are no tensor of that shape. */
export function wrongSize(
  datatype: Datatype,
  shape: readonly number[],
  bytes: number,
  field: string,
): NearsideError {
  return new NearsideError(
    "invalid_tensor",
    `The ${bytes} bytes are no ${datatype} tensor of shape [${shape.join(", ")}].`,
    { field },
  );
}

/** The parameters that the extension knows. */
export interface BinaryParameters {
  readonly binary_data?: unknown;
  readonly binary_data_size?: unknown;
  readonly binary_data_output?: unknown;
}

export function parametersOf(parameters: unknown, field: string): BinaryParameters {
  return parameters === undefined ? {} : object(parameters, field);
}

/** The outputs that a request names. @throws NearsideError `invalid_request` */
export function requestedOutputs(outputs: unknown, binaryOutputs: boolean): RequestedOutput[] {
  if (!Array.isArray(outputs)) throw malformed("outputs", "must be an array");
  return outputs.map((output, index) => {
    const field = `outputs[${index}]`;
    const { name, parameters } = object(output, field);
    if (typeof name !== "string") throw malformed(`${field}.name`, "must be a string");
    const { binary_data: asked } = parametersOf(parameters, `${field}.parameters`);
    return { name, binary: typeof asked === "boolean" ? asked : binaryOutputs };
  });
}
