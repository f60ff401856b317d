import { NearsideError } from "../../errors.ts";
import { decodeJson } from "../body.ts";
import { malformed, parseTensors } from "./elements.ts";

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

/** A body with the tensors' bytes behind its JSON: each is copied once, to its place. */
export function join(header: object, parts: readonly Uint8Array[]) {
  const json = encoder.encode(JSON.stringify(header)) as Uint8Array<ArrayBuffer>;
  if (parts.length === 0) return { body: json, headerLength: json.length, places: [] };
  const body = new Uint8Array(parts.reduce((sum, { length }) => sum + length, json.length));
  body.set(json);
  let at = json.length;
  const places = parts.map((part) => {
    body.set(part, at);
    at += part.length;
    return body.subarray(at - part.length, at);
  });
  return { body, headerLength: json.length, places };
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
