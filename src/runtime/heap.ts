import type { Pointer } from "./ort-module.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Views of an instance's linear memory, renewed when it has grown (growth detaches the old buffer). */
export class Heap {
  readonly #memory: WebAssembly.Memory;
  #bytes: Uint8Array<ArrayBuffer>;
  #words: Uint32Array<ArrayBuffer>;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
  }

  /** Length of the linear memory in bytes. */
  get byteLength(): number {
    return this.#memory.buffer.byteLength;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes.buffer !== this.#memory.buffer) this.#renew();
    return this.#bytes;
  }

  /** Reads the 32-bit word at a 4-byte aligned pointer. */
  word(pointer: Pointer): number {
    if (this.#words.buffer !== this.#memory.buffer) this.#renew();
    return this.#words[pointer >>> 2] ?? 0;
  }

  setWord(pointer: Pointer, value: number): void {
    if (this.#words.buffer !== this.#memory.buffer) this.#renew();
    this.#words[pointer >>> 2] = value;
  }

  text(start: Pointer, length: number): string {
    return decoder.decode(this.bytes.subarray(start, start + length));
  }

  /** Copies a NUL-terminated UTF-8 string into memory of the caller's allocator. */
  writeText(text: string, allocate: (bytes: number) => Pointer): Pointer {
    const utf8 = encoder.encode(text);
    const pointer = allocate(utf8.length + 1);
    this.bytes.set(utf8, pointer);
    this.bytes[pointer + utf8.length] = 0;
    return pointer;
  }

  #renew(): void {
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#words = new Uint32Array(this.#memory.buffer);
  }
}
