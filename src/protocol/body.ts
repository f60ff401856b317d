import { joined } from "../bytes.ts";
import { NearsideError } from "../errors.ts";
import { type ChunkReader, codingOf, decompressing } from "./compression.ts";

/** A body that has not arrived whole after this time is refused: half-open uploads hold memory. */
const BODY_TIMEOUT_MS = 30_000;

/**
 * Reads a request's body, and stops reading at the limit. What was compressed comes decompressed: the limit is on
 * what is kept, and digests (of receipts, and of requests with an Idempotency-Key) are of the content, not of its coding.
 *
 * @throws NearsideError `body_too_large`, `body_timeout`, `unsupported_media_type` (its coding is unknown),
 * `invalid_request` (it broke off, or is not what its coding says)
 */
export async function readBody(
  request: Request,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const coding = codingOf(request.headers);
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  if (declared > maxBytes) {
    await request.body?.cancel().catch(() => {});
    throw tooLarge(maxBytes);
  }
  if (request.body === null) return new Uint8Array();
  // With a declared length within the limit HTTP brings no more than that: one call is a quarter faster.
  const isWhole = coding === undefined && !Number.isNaN(declared);
  const source = isWhole ? undefined : within(request.body.getReader(), maxBytes);
  // The limit is on the coded body, too, which may be made to decode to nothing for ever.
  const reader = source && coding ? within(decompressing(source, coding), maxBytes) : source;
  const reading =
    reader === undefined
      ? request.arrayBuffer().then((buffer) => new Uint8Array(buffer))
      : readChunks(reader);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new NearsideError("body_timeout", "The body did not arrive within 30 seconds.")),
      BODY_TIMEOUT_MS,
    );
  });
  try {
    const bytes = await Promise.race([reading, timeout]);
    if (bytes.length > maxBytes) throw tooLarge(maxBytes);
    return bytes;
  } catch (error) {
    // What comes after the limit or after the time is not wanted; a stuck sender must not hold the answer.
    reader?.cancel().catch(() => {});
    if (error instanceof NearsideError) throw error;
    throw new NearsideError(
      "invalid_request",
      coding === undefined
        ? "The body broke off before its end."
        : `The body is not one whole ${coding === "gzip" ? "gzip member (several in a row are not taken)" : "deflate stream"}, or broke off before its end.`,
      { cause: error, ...(coding !== undefined && { field: "content-encoding" }) },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Reads no further than the limit. */
function within(reader: ChunkReader, maxBytes: number): ChunkReader {
  let length = 0;
  return {
    async read() {
      const result = await reader.read();
      length += result.value?.length ?? 0;
      if (length > maxBytes) throw tooLarge(maxBytes);
      return result;
    },
    cancel: (reason) => reader.cancel(reason),
  };
}

async function readChunks(reader: ChunkReader): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joined(chunks);
    chunks.push(value);
  }
}

function tooLarge(maxBytes: number): NearsideError {
  return new NearsideError("body_too_large", `The body may have ${maxBytes} bytes at most.`);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** @throws NearsideError `invalid_json` */
export function parseJson(text: string, reviver?: JsonReviver): unknown {
  try {
    return JSON.parse(text, reviver as Parameters<typeof JSON.parse>[1]);
  } catch (error) {
    throw new NearsideError("invalid_json", `The body is not JSON: ${(error as Error).message}.`);
  }
}

/** With the source text of the value: https://tc39.es/proposal-json-parse-with-source/ */
export type JsonReviver = (key: string, value: unknown, context: { source?: string }) => unknown;

/** Arrays and objects of one body: empty ones take 30 times their text in memory. */
const MAX_JSON_CONTAINERS = 262_144;
const LEFT_BRACKET = 0x5b;
const LEFT_BRACE = 0x7b;

/**
 * The text of a JSON body that is safe to parse.
 *
 * @throws NearsideError `invalid_json` when the bytes are not UTF-8, `invalid_request` when they hold too many values
 */
export function decodeJson(bytes: Uint8Array): string {
  if (bytes.length > MAX_JSON_CONTAINERS) {
    let containers = 0;
    for (const byte of bytes) {
      if (byte === LEFT_BRACKET || byte === LEFT_BRACE) containers++;
    }
    if (containers > MAX_JSON_CONTAINERS) {
      throw new NearsideError(
        "invalid_request",
        `The body has more than ${MAX_JSON_CONTAINERS} arrays and objects; send tensors flat.`,
      );
    }
  }
  try {
    return utf8.decode(bytes);
  } catch {
    throw new NearsideError("invalid_json", "The body is not UTF-8.");
  }
}

export interface MediaType {
  /** Lower case: `text/plain`; empty when the header is absent. */
  readonly essence: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Parses a Content-Type, leniently (RFC 9110 §8.3). */
export function mediaType(header: string | null): MediaType {
  const [essence = "", ...rest] = (header ?? "").split(";");
  const parameters: Record<string, string> = {};
  for (const part of rest) {
    const equals = part.indexOf("=");
    if (equals < 0) continue;
    const value = part.slice(equals + 1).trim();
    parameters[part.slice(0, equals).trim().toLowerCase()] = value.replace(/^"(.*)"$/, "$1");
  }
  return { essence: essence.trim().toLowerCase(), parameters };
}

export function isJson({ essence }: MediaType): boolean {
  return essence === "application/json" || essence.endsWith("+json");
}
