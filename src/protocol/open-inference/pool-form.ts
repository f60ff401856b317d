import { NearsideError } from "../../errors.ts";
import { decodeJson, isJson, mediaType, parseJson } from "../body.ts";
import { BINARY_MEDIA_TYPE, binarySizeOf, decodeBody, HEADER_LENGTH } from "./binary.ts";
import type { InferRequest } from "./decode.ts";
import { keepDigits, malformed, object } from "./elements.ts";

/**
 * A request in JSON for a pool: what was read of it and nothing else, because another parser may see something
 * else in the same bytes. The data is that of the body and not of its tensors: 0.1 has three digits, and its FP32 17.
 */
export function jsonForPool(
  body: Uint8Array<ArrayBuffer>,
  { id, feeds, outputs }: InferRequest,
): Uint8Array<ArrayBuffer> {
  const text = decodeJson(body);
  const hasLongs = Object.values(feeds).some(({ datatype }) => datatype.endsWith("INT64"));
  const { inputs } = object(parseJson(text, hasLongs ? keepDigits : undefined), "");
  const request = {
    ...(id !== undefined && { id }),
    inputs: (inputs as readonly Record<string, unknown>[]).map(
      ({ name, datatype, shape, data }) => ({ name, datatype, shape, data }),
    ),
    outputs: outputs.map((name) => ({ name })),
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
