import type { Units } from "../../billing/meter.ts";
import { NearsideError } from "../../errors.ts";
import type { Ceiling } from "./usage.ts";
import { decodeJson, isJson, mediaType, parseJson, readBody } from "../body.ts";

/** As much as a pool takes: long conversations, and pictures in them. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** Nobody knows before it is read which model a body is for; the ids of 2 MiB parse in 0.1 s, those of 8 in 0.5 (measured). */
const MAX_EMBEDDINGS_BYTES = 2 * 1024 * 1024;

/** A request of OpenAI's API, as far as Nearside reads it. */
export interface OpenAiRequest {
  readonly model: string;
  /** The answer comes in pieces, as server-sent events. */
  readonly stream: boolean;
  /** The client wants to know at the end of a stream what it has used. */
  readonly wantsUsage: boolean;
  /** Who the request is for, as the caller's own backend calls them. */
  readonly user: string | undefined;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * @param path of the API: `v1/embeddings`
 * @throws NearsideError `unsupported_media_type`, `invalid_json`, `invalid_request`, those of `readBody`
 */
export async function readOpenAiRequest(path: string, request: Request): Promise<OpenAiRequest> {
  const type = mediaType(request.headers.get("content-type"));
  if (type.essence !== "" && !isJson(type)) {
    throw new NearsideError("unsupported_media_type", "Send application/json.", {
      field: "content-type",
    });
  }
  const maxBytes = path === "v1/embeddings" ? MAX_EMBEDDINGS_BYTES : MAX_BODY_BYTES;
  const bytes = await readBody(request, maxBytes);
  const body = parseJson(decodeJson(bytes));
  if (!isObject(body)) throw malformed("The body must be an object.");
  const { model, stream = false, stream_options: options, user } = body;
  if (typeof model !== "string") throw malformed("`model` must be a model's name.", "model");
  if (stream !== null && typeof stream !== "boolean") {
    throw malformed("`stream` must be true or false.", "stream");
  }
  const wantsUsage = isObject(options) && options["include_usage"] === true;
  return {
    model,
    stream: stream === true,
    wantsUsage,
    user: typeof user === "string" ? user : undefined,
    bytes,
    body,
  };
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

/** Tokens of an answer whose length the caller does not bound. */
const USUAL_TOKENS = 256;
/** One that bounds it by more is taken at so many; what comes above is paid all the same. */
const MOST_TOKENS = 16_384;
/** Of the body, JSON included: more than a token has in most languages. */
const BYTES_PER_TOKEN = 4;

/** What a request is admitted for: what it will have used is known at its end only. */
export function estimateOf({ body, bytes }: OpenAiRequest): Units {
  const wanted = body["max_completion_tokens"] ?? body["max_tokens"];
  const each = isCount(wanted) ? Math.min(wanted, MOST_TOKENS) : USUAL_TOKENS;
  const choices = isCount(body["n"]) ? Math.min(body["n"], 128) : 1;
  return {
    prompt_tokens: Math.ceil(bytes.length / BYTES_PER_TOKEN),
    completion_tokens: each * choices,
  };
}

/**
 * What a request can have used at most, whatever the pool says: what the caller allows, and a byte for each token
 * of the prompt. Pictures that are only named by their address have more tokens than that; they are not paid for.
 */
export function tokenCeiling({ body, bytes }: OpenAiRequest): Ceiling {
  const wanted = body["max_completion_tokens"] ?? body["max_tokens"];
  const { n, best_of: candidates, prompt } = body;
  const choices = Math.max(isCount(n) ? n : 1, isCount(candidates) ? candidates : 1);
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== "number" ? prompt.length : 1;
  return {
    prompt_tokens: bytes.length,
    completion_tokens: isCount(wanted) ? wanted * choices * prompts : Number.MAX_SAFE_INTEGER,
  };
}

export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(message: string, field?: string): NearsideError {
  return new NearsideError("invalid_request", message, field === undefined ? {} : { field });
}
