import type { BlobRef } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import { CHUNK_BYTES, type ChunkReader, chunkReader } from "./chunk-reader.ts";
import { blobCacheUrl, blobKey } from "./layout.ts";

/** The part of an R2 bucket that reading needs; R2's own verb. */
export interface BlobBucket {
  get(
    key: string,
  ): Promise<{ readonly body: ReadableStream<Uint8Array>; readonly size: number } | null>;
}

/** The part of the Cache API that reading needs. */
export interface BlobCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
}

/**
 * Takes the bytes of a blob as they arrive. `begin` is called again when a damaged read is repeated. What
 * `write` throws counts only when the bytes turn out to be the blob's own: damaged ones explain anything.
 */
export interface BlobSink {
  begin(): void | Promise<void>;
  write(chunk: Uint8Array): void;
}

export interface BlobContext {
  waitUntil(promise: Promise<unknown>): void;
  /** Called with every chunk: whoever waits for the blob knows that it is on its way. */
  onProgress?(): void;
}

export interface BlobStats {
  cacheHits: number;
  bucketReads: number;
  /** Reads that did not match their digest or broke off, and were repeated. */
  repairs: number;
}

/** A read that brings no byte for this long is given up. */
const STALL_MS = 10_000;

/** Blobs never change, so a data centre may keep one for as long as it likes. */
const CACHE_CONTROL = "public, max-age=31536000, immutable";

/**
 * Content-addressed blobs: from the data centre's cache, else from the bucket, verified while they
 * stream. What does not match its digest is dropped from the cache and read once more from the bucket.
 */
export class BlobStore {
  readonly #bucket: BlobBucket;
  readonly #cache: BlobCache | undefined;
  readonly #stallMs: number;
  readonly stats: BlobStats = { cacheHits: 0, bucketReads: 0, repairs: 0 };

  constructor(bucket: BlobBucket, cache?: BlobCache, stallMs = STALL_MS) {
    this.#bucket = bucket;
    this.#cache = cache;
    this.#stallMs = stallMs;
  }

  /** The whole blob in one array of its own. */
  async read(ref: BlobRef, context: BlobContext): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(ref.bytes);
    let at = 0;
    await this.stream(ref, context, {
      begin() {
        at = 0;
      },
      write(chunk) {
        bytes.set(chunk, at);
        at += chunk.length;
      },
    });
    return bytes;
  }

  /**
   * Streams a blob into `sink`, which must not use the bytes before this resolves.
   *
   * @throws NearsideError `model_damaged` (gone, or altered in the bucket itself) or `model_unavailable`
   */
  async stream(ref: BlobRef, context: BlobContext, sink: BlobSink): Promise<void> {
    const cached = await this.#fromCache(ref);
    if (cached) {
      this.stats.cacheHits++;
      const outcome = await this.#drain(cached, ref, context, sink);
      if (outcome === "whole") return;
      this.stats.repairs++;
      await this.#cache?.delete(blobCacheUrl(ref.digest)).catch(() => false);
      return this.#fromBucket(ref, context, sink, 1);
    }
    return this.#fromBucket(ref, context, sink, 2);
  }

  async #fromBucket(
    ref: BlobRef,
    context: BlobContext,
    sink: BlobSink,
    attempts: number,
  ): Promise<void> {
    this.stats.bucketReads++;
    const outcome = await this.#attempt(ref, context, sink);
    if (outcome === "whole") return;
    if (outcome === "altered" || outcome === "broken") {
      await this.#cache?.delete(blobCacheUrl(ref.digest)).catch(() => false);
      if (attempts > 1) {
        this.stats.repairs++;
        return this.#fromBucket(ref, context, sink, attempts - 1);
      }
    }
    throw blobError(outcome);
  }

  async #attempt(
    ref: BlobRef,
    context: BlobContext,
    sink: BlobSink,
  ): Promise<ReadOutcome | "missing"> {
    let object: Awaited<ReturnType<BlobBucket["get"]>>;
    try {
      object = await withTimeout(this.#bucket.get(blobKey(ref.digest)), this.#stallMs);
    } catch {
      return "broken";
    }
    if (object === null) return "missing";
    if (object.size !== ref.bytes) {
      await object.body.cancel().catch(() => {});
      return "altered";
    }
    if (!this.#cache) return this.#drain(object.body, ref, context, sink);

    const [mine, theirs] = object.body.tee();
    const response = new Response(theirs, {
      headers: { "content-length": String(ref.bytes), "cache-control": CACHE_CONTROL },
    });
    const kept = this.#cache.put(blobCacheUrl(ref.digest), response).catch(() => {});
    context.waitUntil(kept);
    const outcome = await this.#drain(mine, ref, context, sink);
    // Bytes that turned out bad must be in the cache before they can be dropped from it.
    if (outcome === "altered") await kept;
    return outcome;
  }

  async #fromCache(ref: BlobRef): Promise<ReadableStream<Uint8Array> | undefined> {
    try {
      const response = await this.#cache?.match(blobCacheUrl(ref.digest));
      return response?.body ?? undefined;
    } catch {
      return undefined;
    }
  }

  async #drain(
    body: ReadableStream<Uint8Array>,
    ref: BlobRef,
    context: BlobContext,
    sink: BlobSink,
  ): Promise<ReadOutcome> {
    const chunks = chunkReader(body, Math.min(CHUNK_BYTES, ref.bytes));
    const hash = new crypto.DigestStream("SHA-256");
    const writer = hash.getWriter();
    // A digest that is aborted rejects; nobody waits for it then.
    hash.digest.catch(() => {});
    let length = 0;
    let refusal: { readonly cause: unknown } | undefined;
    try {
      await sink.begin();
      for (;;) {
        const value = await readChunk(chunks, this.#stallMs);
        if (value === undefined) break;
        length += value.length;
        if (length > ref.bytes) throw new UnusableRead("altered");
        const hashed = writer.write(value);
        refusal ??= refusalOf(sink, value);
        context.onProgress?.();
        await hashed;
      }
      await writer.close();
      const isWhole = length === ref.bytes && hex(await hash.digest) === ref.digest;
      if (!isWhole) return "altered";
    } catch (error) {
      await Promise.allSettled([chunks.cancel(), writer.abort()]);
      if (error instanceof UnusableRead) return error.outcome;
      throw error;
    }
    if (refusal !== undefined) throw refusal.cause;
    return "whole";
  }
}

/** Ends a read of bytes that can't be used. */
class UnusableRead extends Error {
  readonly outcome: Exclude<ReadOutcome, "whole">;

  constructor(outcome: Exclude<ReadOutcome, "whole">) {
    super(outcome);
    this.outcome = outcome;
  }
}

async function readChunk(chunks: ChunkReader, stallMs: number): Promise<Uint8Array | undefined> {
  try {
    return await withTimeout(chunks.read(), stallMs);
  } catch {
    throw new UnusableRead("broken");
  }
}

function refusalOf(sink: BlobSink, chunk: Uint8Array): { readonly cause: unknown } | undefined {
  try {
    sink.write(chunk);
    return undefined;
  } catch (cause) {
    return { cause };
  }
}

type ReadOutcome = "whole" | "altered" | "broken";

function blobError(outcome: Exclude<ReadOutcome, "whole"> | "missing"): NearsideError {
  switch (outcome) {
    case "missing":
      return new NearsideError("model_damaged", "A file of this model is missing from the store.");
    case "altered":
      return new NearsideError("model_damaged", "A file of this model does not match its digest.");
    case "broken":
      return new NearsideError("model_unavailable", "The model's files can't be read right now.", {
        retryAfterSeconds: 1,
      });
  }
}

/** Rejects when `promise` takes longer than `milliseconds`. */
async function withTimeout<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("stalled")), milliseconds);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function hex(digest: ArrayBuffer): string {
  return new Uint8Array(digest).toHex();
}
