import { NearsideError } from "../../errors.ts";
import { decodeJson, isJson, mediaType, parseJson, readBody } from "../body.ts";

/** As much as a pool takes: long conversations, and pictures in them. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** A request of OpenAI's API, as far as Nearside reads it. */
export interface OpenAiRequest {
  readonly model: string;
  /** The answer comes in pieces, as server-sent events. */
  readonly stream: boolean;
  /** The client wants to know at the end of a stream what it has used. */
  readonly wantsUsage: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** @throws NearsideError `unsupported_media_type`, `invalid_json`, `invalid_request`, those of `readBody` */
export async function readOpenAiRequest(request: Request): Promise<OpenAiRequest> {
  const type = mediaType(request.headers.get("content-type"));
  if (type.essence !== "" && !isJson(type)) {
    throw new NearsideError("unsupported_media_type", "Send application/json.", {
      field: "content-type",
    });
  }
  const bytes = await readBody(request, MAX_BODY_BYTES);
  const body = parseJson(decodeJson(bytes));
  if (!isObject(body)) throw malformed("The body must be an object.");
  const { model, stream = false, stream_options: options } = body;
  if (typeof model !== "string") throw malformed("`model` must be a model's name.", "model");
  if (stream !== null && typeof stream !== "boolean") {
    throw malformed("`stream` must be true or false.", "stream");
  }
  const wantsUsage = isObject(options) && options["include_usage"] === true;
  return { model, stream: stream === true, wantsUsage, bytes, body };
}

/**
 * What goes to the pool: as it came, but for the model's name there and the usage that is to be told.
 *
 * @param model what the pool calls it
 */
export function bodyForPool(
  { body, bytes, model: asked, stream, wantsUsage }: OpenAiRequest,
  model: string,
): Uint8Array<ArrayBuffer> {
  const asksForUsage = !stream || wantsUsage;
  if (asksForUsage && model === asked) return bytes;
  const options = isObject(body["stream_options"]) ? body["stream_options"] : {};
  const changed = {
    ...body,
    model,
    ...(!asksForUsage && { stream_options: { ...options, include_usage: true } }),
  };
  return Uint8Array.from(new TextEncoder().encode(JSON.stringify(changed)));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(message: string, field?: string): NearsideError {
  return new NearsideError("invalid_request", message, field === undefined ? {} : { field });
}
