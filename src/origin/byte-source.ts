/** A body, piece by piece as it comes. */
export interface ByteSource {
  /** @returns undefined at the end */
  read(): Promise<Uint8Array | undefined>;
  cancel(reason?: unknown): Promise<void>;
}

/**
 * Large enough that a stream of 100 MB is not read 4 KiB at a time, as a plain reader does it; what has come is
 * handed on at once all the same.
 */
const READ_BYTES = 65_536;

export function byteSource(body: ReadableStream<Uint8Array>): ByteSource {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: "byob" });
  } catch {
    return plainSource(body.getReader());
  }
  return {
    async read() {
      const { done, value } = await reader.read(new Uint8Array(READ_BYTES));
      return done ? undefined : value;
    },
    cancel: (reason) => reader.cancel(reason),
  };
}

function plainSource(reader: ReadableStreamDefaultReader<Uint8Array>): ByteSource {
  return {
    async read() {
      const { done, value } = await reader.read();
      return done ? undefined : value;
    },
    cancel: (reason) => reader.cancel(reason),
  };
}

/** The beginning of a body, and whether that was all. */
export interface Prefix {
  readonly bytes: Uint8Array;
  readonly ended: boolean;
}

/** Reads until the end, or until there are more than `limit` bytes. */
export async function readPrefix(source: ByteSource, limit: number): Promise<Prefix> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  while (length <= limit) {
    const piece = await source.read();
    if (piece === undefined) return { bytes: joined(pieces), ended: true };
    pieces.push(piece);
    length += piece.length;
  }
  return { bytes: joined(pieces), ended: false };
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
