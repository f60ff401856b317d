import { WASM_PAGE_BYTES } from "../ort-module.ts";
import {
  headerLength,
  PAGE_BYTES,
  parseHeader,
  PREFIX_BYTES,
  SnapshotError,
  type SnapshotHeader,
} from "./format.ts";

/**
 * Reads a snapshot as it arrives, in chunks of any size, straight into linear memory: nothing but the
 * header and the chunk at hand is ever held in JS.
 */
export class PageReader {
  readonly #open: (header: SnapshotHeader) => Uint8Array;
  #head = new Uint8Array(PREFIX_BYTES);
  #headBytes = 0;
  #header: SnapshotHeader | undefined;
  #memory: Uint8Array = new Uint8Array();
  #run = 0;
  /** Bytes of the current run that are there already. */
  #done = 0;

  /** @param open called once, with the header; returns the memory to fill, of the length that it says */
  constructor(open: (header: SnapshotHeader) => Uint8Array) {
    this.#open = open;
  }

  /** @throws SnapshotError; what `open` throws */
  write(chunk: Uint8Array): void {
    const pages = this.#header === undefined ? this.#readHeader(chunk) : chunk;
    if (this.#header === undefined || pages.length === 0) return;
    const { runs } = this.#header;
    let at = 0;
    while (at < pages.length) {
      const run = runs[this.#run];
      if (run === undefined) throw new SnapshotError("wrong_length", "The snapshot goes on.");
      const length = run.pages * PAGE_BYTES;
      const count = Math.min(length - this.#done, pages.length - at);
      this.#memory.set(pages.subarray(at, at + count), run.firstPage * PAGE_BYTES + this.#done);
      at += count;
      this.#done += count;
      if (this.#done === length) {
        this.#run++;
        this.#done = 0;
      }
    }
  }

  /** To be called after the last chunk. @throws SnapshotError `wrong_length` when something is missing */
  end(): SnapshotHeader {
    if (this.#header !== undefined && this.#run === this.#header.runs.length) return this.#header;
    throw new SnapshotError("wrong_length", "The snapshot ends too early.");
  }

  /** @returns what follows the header in this chunk */
  #readHeader(chunk: Uint8Array): Uint8Array {
    let rest = chunk;
    for (;;) {
      const taken = rest.subarray(0, this.#head.length - this.#headBytes);
      this.#head.set(taken, this.#headBytes);
      this.#headBytes += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#headBytes < this.#head.length) return rest;
      if (this.#head.length > PREFIX_BYTES) break;
      const whole = new Uint8Array(headerLength(this.#head));
      whole.set(this.#head);
      this.#head = whole;
    }
    const header = parseHeader(this.#head);
    this.#memory = this.#open(header);
    this.#header = header;
    return rest;
  }
}

/**
 * The linear memory at the length that a snapshot has, to be filled.
 *
 * @throws RangeError when it may not grow
 */
export function memoryOfLength(memory: WebAssembly.Memory, memoryBytes: number): Uint8Array {
  const more = memoryBytes - memory.buffer.byteLength;
  if (more > 0) memory.grow(Math.ceil(more / WASM_PAGE_BYTES));
  return new Uint8Array(memory.buffer);
}
