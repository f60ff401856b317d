import { joinedOrOnly } from "../bytes.ts";

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
    if (piece === undefined) return { bytes: joinedOrOnly(pieces), ended: true };
    pieces.push(piece);
    length += piece.length;
  }
  return { bytes: joinedOrOnly(pieces), ended: false };
}
