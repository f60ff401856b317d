import { NearsideError } from "../errors.ts";

/** A body that has not arrived whole after this time is refused: half-open uploads hold memory. */
const BODY_TIMEOUT_MS = 30_000;

/**
 * Reads a request's body, and stops reading at the limit.
 *
 * @throws NearsideError `body_too_large`, `body_timeout`, `invalid_request` (it broke off)
 */
export async function readBody(
  request: Request,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  if (declared > maxBytes) {
    await request.body?.cancel().catch(() => {});
    throw tooLarge(maxBytes);
  }
  if (request.body === null) return new Uint8Array();
  // With a declared length within the limit the platform reads no more than that, in one call.
  const reading = Number.isNaN(declared)
    ? readChunks(request.body, maxBytes)
    : request.arrayBuffer().then((buffer) => new Uint8Array(buffer));
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
    if (error instanceof NearsideError) throw error;
    throw new NearsideError("invalid_request", "The body broke off before its end.", {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

async function readChunks(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel().catch(() => {});
      throw tooLarge(maxBytes);
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
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

/** @throws NearsideError `invalid_json` when the bytes are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array): string {
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
