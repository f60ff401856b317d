import { NearsideError } from "../../errors.ts";
import { decodeJson, isJson, mediaType, parseJson } from "../body.ts";
import {
  BINARY_MEDIA_TYPE,
  type BinaryBody,
  decodeBody,
  HEADER_LENGTH,
  join,
} from "./binary-body.ts";
import type { InferRequest } from "./decode.ts";
import { keepDigits, malformed, object } from "./elements.ts";
import { elements } from "./encode.ts";
import { binarySizeOf, type RequestedOutput } from "./parameters.ts";

/** A request for a pool: as JSON alone where nothing of it, nor of its answer, is bytes. */
export function bodyForPool(body: Uint8Array<ArrayBuffer>, request: InferRequest): BinaryBody {
  const isJsonAlone =
    request.inputs.every(({ bytes }) => bytes === undefined) &&
    request.outputs.every(({ binary }) => !binary);
  return isJsonAlone
    ? { body: jsonForPool(body, request), headerLength: undefined }
    : bytesForPool(request);
}

/** What was read of it, and nothing that was not; the tensors' bytes as they came. */
function bytesForPool({ id, inputs, outputs }: InferRequest): BinaryBody {
  const parts: Uint8Array[] = [];
  const header = {
    ...(id !== undefined && { id }),
    inputs: inputs.map(({ name, datatype, shape, bytes, tensor }) => {
      if (bytes === undefined) {
        return { name, datatype, shape, data: tensor === undefined ? [] : elements(tensor) };
      }
      parts.push(bytes);
      return { name, datatype, shape, parameters: { binary_data_size: bytes.length } };
    }),
    outputs: outputs.map(outputForPool),
  };
  return join(header, parts);
}

function outputForPool({ name, binary, classification }: RequestedOutput): object {
  const parameters = { binary_data: binary, ...(classification && { classification }) };
  return { name, parameters };
}

/**
 * A request in JSON for a pool: what was read of it and nothing else, because another parser may see something
 * else in the same bytes. The data is that of the body and not of its tensors: 0.1 has three digits, and its FP32 17.
 */
function jsonForPool(
  body: Uint8Array<ArrayBuffer>,
  { id, inputs, outputs }: InferRequest,
): Uint8Array<ArrayBuffer> {
  const text = decodeJson(body);
  const hasLongs = inputs.some(({ datatype }) => datatype.endsWith("INT64"));
  const asked = object(parseJson(text, hasLongs ? keepDigits : undefined), "");
  const request = {
    ...(id !== undefined && { id }),
    inputs: (asked["inputs"] as readonly Record<string, unknown>[]).map(
      ({ name, datatype, shape, data }) => ({ name, datatype, shape, data }),
    ),
    outputs: outputs.map(({ name, classification }) => ({
      name,
      ...(classification && { parameters: { classification } }),
    })),
  };
  const json = JSON.stringify(request, (_, value: unknown) =>
    typeof value === "bigint" ? JSON.rawJSON(String(value)) : value,
  );
  return Uint8Array.from(new TextEncoder().encode(json));
}

/**
 * The headers of a pool's answer on its way to the caller.
 *
 * @param asBytes whether tensors may come as bytes
 * @throws NearsideError `origin_failed` when it is no answer of the protocol
 */
export function answerHeaders(
  headers: Headers,
  bytes: Uint8Array<ArrayBuffer>,
  asBytes: boolean,
): Record<string, string> {
  const type = mediaType(headers.get("content-type"));
  const length = headers.get(HEADER_LENGTH);
  const isBinary = asBytes && type.essence === BINARY_MEDIA_TYPE && /^\d{1,10}$/.test(length ?? "");
  try {
    if (!isBinary && (length !== null || !isJson(type))) throw malformed("", "is not JSON");
    checkAnswer(bytes, isBinary ? Number(length) : undefined);
  } catch (cause) {
    throw new NearsideError("origin_failed", "The origin's answer can't be used.", { cause });
  }
  return isBinary
    ? { "content-type": BINARY_MEDIA_TYPE, [HEADER_LENGTH]: String(length) }
    : { "content-type": "application/json" };
}

function checkAnswer(bytes: Uint8Array<ArrayBuffer>, headerLength: number | undefined): void {
  decodeBody(bytes, headerLength, (document, binaryPart) => {
    const { outputs, error } = object(document, "");
    if (error !== undefined && error !== null) throw malformed("error", "is told by an answer");
    if (!Array.isArray(outputs)) throw malformed("outputs", "must be an array of tensors");
    for (const [index, output] of outputs.entries()) {
      const field = `outputs[${index}]`;
      const { name, data, parameters } = object(output, field);
      if (typeof name !== "string") throw malformed(`${field}.name`, "must be a string");
      const size = binarySizeOf({ data, parameters }, field);
      if (size !== undefined) binaryPart.take(size, field);
    }
  });
}
