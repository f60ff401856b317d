import { NearsideError } from "../errors.ts";

/** Codings of HTTP (RFC 9110 §8.4.1) that the platform knows, as Triton takes and gives them. */
type Coding = "gzip" | "deflate";

/**
 * How a body is compressed; undefined when it is not.
 *
 * @throws NearsideError `unsupported_media_type`: compressed bytes would pass for input where a task takes bytes
 */
export function codingOf(headers: Headers): Coding | undefined {
  const value = headers.get("content-encoding");
  switch (value?.trim().toLowerCase()) {
    case undefined:
    case "identity":
      return undefined;
    case "gzip":
    case "x-gzip":
      return "gzip";
    case "deflate":
      return "deflate";
    default:
      throw new NearsideError(
        "unsupported_media_type",
        `The body is encoded as "${value}"; send it as gzip, as deflate, or as it is.`,
        { field: "content-encoding" },
      );
  }
}

/** The part of a reader that whoever reads a body needs. */
export type ChunkReader = Pick<ReadableStreamDefaultReader<Uint8Array>, "read" | "cancel">;

/** A write is decompressed whole, and a byte may stand for 1032: a bomb takes 4 MB before its reader stops. */
const SLICE_BYTES = 4 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** Reads what a body is without its coding; no more of it is taken than is asked for. */
export function decompressing(source: ChunkReader, coding: Coding): ChunkReader {
  const chunks = decompressed(source, coding);
  return {
    read: () => chunks.next() as Promise<ReadableStreamReadResult<Uint8Array>>,
    cancel: (reason) => source.cancel(reason),
  };
}

async function* decompressed(source: ChunkReader, coding: Coding): AsyncGenerator<Uint8Array> {
  const { readable, writable } = new DecompressionStream(coding);
  const sink = writable.getWriter();
  const decoded = readable.getReader({ mode: "byob" });
  let reading: Promise<ReadableStreamReadResult<Uint8Array>> | undefined;
  const next = (): NonNullable<typeof reading> => {
    if (reading !== undefined) return reading;
    const begun = decoded.read(new Uint8Array(CHUNK_BYTES));
    begun.catch(() => {});
    return (reading = begun as NonNullable<typeof reading>);
  };
  for await (const slice of slices(source)) {
    void next();
    await sink.write(slice);
    // The platform takes the next write whether or not the last was read: so all of it first.
    for (let isFull = true; isFull;) {
      const result = await Promise.race([next(), scheduler.wait(0)]);
      if (result?.value === undefined) break;
      reading = undefined;
      isFull = result.value.length === CHUNK_BYTES;
      yield result.value;
    }
  }
  const closing = sink.close();
  closing.catch(() => {});
  for (;;) {
    const { done, value } = await next();
    if (done) break;
    reading = undefined;
    yield value;
  }
  await closing;
}

async function* slices(source: ChunkReader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await source.read();
    if (done) return;
    for (let at = 0; at < value.length; at += SLICE_BYTES) {
      yield value.subarray(at, at + SLICE_BYTES);
    }
  }
}

/** Smaller answers fit a packet as they are. */
const MIN_BYTES = 1024;
/** Floats that look random shrink by a tenth, for 16 ms of 600 KB (measured): a sample tells. */
const SAMPLE_BYTES = 8 * 1024;
const WORTHWHILE = 7 / 8;

/**
 * An answer in the coding that its caller likes best, gzip or deflate; as it is when it is small, hardly shrinks, or
 * none is wanted. It is the last thing that happens to an answer: receipts, and what is kept for an Idempotency-Key,
 * are of the content without its coding.
 */
export async function compressed(request: Request, response: Response): Promise<Response> {
  response.headers.append("vary", "accept-encoding");
  const coding = preferredCoding(acceptedBy(request));
  if (coding === undefined || response.body === null) return response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { status, headers } = response;
  if (bytes.length <= MIN_BYTES || !(await shrinks(bytes, coding))) {
    return new Response(bytes, { status, headers });
  }
  headers.set("content-encoding", coding);
  // Else the platform would compress it once more.
  return new Response(encoded(bytes, coding), { status, headers, encodeBody: "manual" });
}

async function shrinks(bytes: Uint8Array<ArrayBuffer>, coding: Coding): Promise<boolean> {
  if (bytes.length <= SAMPLE_BYTES) return true;
  const start = (bytes.length - SAMPLE_BYTES) >> 1;
  const sample = bytes.subarray(start, start + SAMPLE_BYTES);
  const { byteLength } = await new Response(encoded(sample, coding)).arrayBuffer();
  return byteLength < SAMPLE_BYTES * WORTHWHILE;
}

function encoded(bytes: Uint8Array<ArrayBuffer>, coding: Coding): ReadableStream<Uint8Array> {
  return new Blob([bytes]).stream().pipeThrough(new CompressionStream(coding));
}

/** Cloudflare asks its Workers for gzip whatever the caller said, and tells that beside it. */
function acceptedBy({ headers, cf }: Request): string | null {
  const asked = cf?.["clientAcceptEncoding"];
  return typeof asked === "string" ? asked : headers.get("accept-encoding");
}

/**
 * RFC 9110 §12.5.3: the coding of the highest weight; of equals gzip, then deflate.
 *
 * @returns undefined for none, also where the caller prefers `identity`
 */
export function preferredCoding(accepted: string | null): Coding | undefined {
  if (accepted === null) return undefined;
  const weights = new Map<string, number>();
  for (const part of accepted.toLowerCase().split(",")) {
    const [name = "", ...parameters] = part.split(";").map((word) => word.trim());
    const quality = parameters.find((word) => word.startsWith("q="));
    const weight = quality === undefined ? 1 : Number(quality.slice(2));
    weights.set(name === "x-gzip" ? "gzip" : name, weight >= 0 && weight <= 1 ? weight : 0);
  }
  const weightOf = (coding: string): number => weights.get(coding) ?? weights.get("*") ?? 0;
  const [gzip, deflate] = [weightOf("gzip"), weightOf("deflate")];
  const best = Math.max(gzip, deflate);
  if (best === 0 || (weights.get("identity") ?? 0) > best) return undefined;
  return gzip === best ? "gzip" : "deflate";
}
