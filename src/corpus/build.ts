import {
  alignUp,
  COLUMN_BYTES,
  COLUMN_TYPES,
  type ColumnType,
  FORMAT,
  HEADER_BYTES,
  MAGIC,
  MAX_DIMENSIONS,
  memoryBytesOf,
  rowBytesOf,
} from "./format.ts";

export type MetadataValue = string | number | boolean;

/** One row of a corpus. */
export interface CorpusRow {
  readonly id: string;
  readonly vector: ArrayLike<number>;
  readonly text?: string | undefined;
  readonly metadata?: Readonly<Record<string, MetadataValue>> | undefined;
}

export interface BuiltCorpus {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly count: number;
  readonly columns: readonly {
    readonly name: string;
    readonly type: ColumnType;
    readonly values: number;
  }[];
  /** Linear memory of an instance that searches it. */
  readonly memoryBytes: number;
}

export interface BuilderOptions {
  readonly dimensions: number;
  /** Whether texts are kept, to be answered with. */
  readonly texts: boolean;
}

interface ColumnInProgress {
  readonly type: ColumnType;
  /** The rows that have each value. */
  readonly rows: Map<MetadataValue, number[]>;
}

const MAX_INT8 = 127;
const MAX_COLUMNS = 64;
const MAX_ID_BYTES = 512;
const BLOCK_ROWS = 4096;

/** What is wrong with a row: the end of a sentence. */
export class RowError extends Error {
  override readonly name = "RowError";
}

/** Takes rows one after the other, and makes the bytes of a corpus of them. */
export class CorpusBuilder {
  readonly #options: BuilderOptions;
  readonly #rowBytes: number;
  readonly #blocks: Int8Array[] = [];
  readonly #scales: number[] = [];
  /** 0 for a row like no other, else 1 + the first row with the same bytes. */
  readonly #twins: number[] = [];
  readonly #rowOf = new Map<string, number>();
  readonly #ids: Uint8Array[] = [];
  readonly #texts: Uint8Array[] = [];
  readonly #known = new Set<string>();
  readonly #columns = new Map<string, ColumnInProgress>();

  constructor(options: BuilderOptions) {
    if (options.dimensions > MAX_DIMENSIONS) {
      throw new RowError(
        `vectors may have ${MAX_DIMENSIONS} dimensions, not ${options.dimensions}`,
      );
    }
    this.#options = options;
    this.#rowBytes = rowBytesOf(options.dimensions);
  }

  get count(): number {
    return this.#scales.length;
  }

  /** What can be said against a row before its vector is known. @throws RowError */
  check({ id, metadata = {} }: Omit<CorpusRow, "vector">): void {
    if (id === "") throw new RowError("the id is empty");
    if (!id.isWellFormed()) throw new RowError("the id is no Unicode: half a surrogate pair");
    if (this.#known.has(id)) throw new RowError(`the id "${id.slice(0, 64)}" was there before`);
    if (utf8.encode(id).length > MAX_ID_BYTES) {
      throw new RowError(`the id is longer than ${MAX_ID_BYTES} bytes`);
    }
    for (const [name, value] of Object.entries(metadata)) {
      this.#checkValue(name, value);
      if (!this.#columns.has(name)) {
        this.#columns.set(name, { type: typeof value as ColumnType, rows: new Map() });
      }
    }
    this.#known.add(id);
  }

  /** Adds a row that was checked. @throws RowError for its vector */
  addChecked({ id, vector, text = "", metadata = {} }: CorpusRow): void {
    const row = this.count;
    const place = row % BLOCK_ROWS;
    if (place === 0) this.#blocks.push(new Int8Array(BLOCK_ROWS * this.#rowBytes));
    const block = this.#blocks.at(-1) ?? new Int8Array();
    const into = block.subarray(place * this.#rowBytes, (place + 1) * this.#rowBytes);
    this.#scales.push(quantize(vector, this.#options.dimensions, into));
    const content = bytesAsText.decode(into);
    const first = this.#rowOf.get(content);
    if (first === undefined) this.#rowOf.set(content, row);
    else this.#twins[first] = first + 1;
    this.#twins.push(first === undefined ? 0 : first + 1);
    this.#ids.push(utf8.encode(id));
    if (this.#options.texts) this.#texts.push(utf8.encode(text));
    for (const [name, value] of Object.entries(metadata)) {
      const rows = this.#columns.get(name)?.rows;
      const same = typeof value === "number" ? value + 0 : value;
      const those = rows?.get(same);
      if (those === undefined) rows?.set(same, [row]);
      else those.push(row);
    }
  }

  /** @throws RowError */
  add(row: CorpusRow): void {
    this.check(row);
    this.addChecked(row);
  }

  finish(): BuiltCorpus {
    const { dimensions, texts } = this.#options;
    const { count } = this;
    const columns = [...this.#columns].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const out = new Sections(HEADER_BYTES + COLUMN_BYTES * columns.length);
    const vectors = out.add(this.#blocks, count * this.#rowBytes);
    const scales = out.add([Float32Array.from(this.#scales)]);
    const ids = out.addStrings(this.#ids);
    const heads = columns.map(([, column]) => columnWords(column, count, out));
    const kept = texts ? out.addStrings(this.#texts) : [0, 0];
    const twins = out.add([Uint32Array.from(this.#twins)]);
    const bytes = out.join();
    const header = new DataView(bytes.buffer);
    bytes.set(MAGIC);
    const shape = [FORMAT, bytes.length, count, dimensions, this.#rowBytes, columns.length];
    const words = [...shape, vectors, scales, ...ids, ...kept, twins];
    for (const [index, word] of words.entries()) header.setUint32(8 + 4 * index, word, true);
    for (const [index, word] of heads.flat().entries()) {
      header.setUint32(HEADER_BYTES + 4 * index, word, true);
    }
    return {
      bytes,
      count,
      columns: columns.map(([name, { type, rows }]) => ({ name, type, values: rows.size })),
      memoryBytes: memoryBytesOf(bytes.length, dimensions),
    };
  }

  #checkValue(name: string, value: unknown): void {
    const type = typeof value;
    if (!COLUMN_TYPES.some((one) => one === type)) {
      throw new RowError(`"${name}" must be a string, a number or a boolean`);
    }
    // Two that differ in halves of pairs alone would be the same in UTF-8.
    if (!name.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
      throw new RowError(`"${name.toWellFormed()}" is no Unicode: half a surrogate pair`);
    }
    if (type === "number" && !Number.isFinite(value)) throw new RowError(`"${name}" is no number`);
    const known = this.#columns.get(name);
    if (known === undefined && this.#columns.size === MAX_COLUMNS) {
      throw new RowError(`"${name}" is one column too many; there may be ${MAX_COLUMNS}`);
    }
    if (known !== undefined && known.type !== type) {
      throw new RowError(`"${name}" is a ${type} here, and was a ${known.type} before`);
    }
  }
}

const utf8 = new TextEncoder();
/** A character for each byte, another one for each other byte. */
const bytesAsText = new TextDecoder("latin1");

/**
 * Writes a vector's direction in signed bytes.
 *
 * @returns the scale that gives the row length 1
 * @throws RowError
 */
export function quantize(vector: ArrayLike<number>, dimensions: number, into: Int8Array): number {
  if (vector.length !== dimensions) {
    throw new RowError(`the vector has ${vector.length} dimensions, and the model ${dimensions}`);
  }
  let largest = 0;
  for (let at = 0; at < dimensions; at++) {
    const value = vector[at];
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new RowError(`element ${at} of the vector is no number`);
    }
    largest = Math.max(largest, Math.abs(value));
  }
  if (largest === 0) throw new RowError("the vector is zero, and has no direction");
  let squares = 0;
  for (let at = 0; at < dimensions; at++) {
    const rounded = Math.round(((vector[at] ?? 0) / largest) * MAX_INT8);
    into[at] = rounded;
    squares += rounded * rounded;
  }
  return Math.fround(1 / Math.sqrt(squares));
}

function columnWords({ type, rows }: ColumnInProgress, count: number, out: Sections): number[] {
  const width = rows.size < 2 ** 8 ? 1 : rows.size < 2 ** 16 ? 2 : 4;
  const codes = new (width === 1 ? Uint8Array : width === 2 ? Uint16Array : Uint32Array)(count);
  const isText = type === "string";
  const values = [...rows].map(([value, those]) => ({
    key: isText ? utf8.encode(String(value)) : Number(value),
    those,
  }));
  values.sort((a, b) =>
    typeof a.key === "number" ? a.key - Number(b.key) : compareBytes(a.key, b.key as Uint8Array),
  );
  for (const [index, { those }] of values.entries())
    for (const row of those) codes[row] = index + 1;
  const codesAt = out.add([codes]);
  const place = isText
    ? out.addStrings(values.map(({ key }) => key as Uint8Array))
    : [0, out.add([Float64Array.from(values, ({ key }) => Number(key))])];
  return [COLUMN_TYPES.indexOf(type), rows.size, width, codesAt, ...place];
}

/** The order of UTF-8 is the order of code points. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Sections one after the other. */
class Sections {
  readonly #parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #end: number;

  constructor(start: number) {
    this.#end = start;
  }

  /** @returns where it begins */
  add(views: readonly ArrayBufferView[], length = Number.POSITIVE_INFINITY): number {
    const start = alignUp(this.#end);
    let left = length;
    this.#end = start;
    for (const view of views) {
      const size = Math.min(left, view.byteLength);
      this.#parts.push({
        at: this.#end,
        bytes: new Uint8Array(view.buffer, view.byteOffset, size),
      });
      this.#end += size;
      left -= size;
    }
    return start;
  }

  /** @returns where their ends and their bytes begin */
  addStrings(strings: readonly Uint8Array[]): [number, number] {
    let end = 0;
    const ends = Uint32Array.from(strings, ({ length }) => (end += length));
    return [this.add([ends]), this.add(strings)];
  }

  join(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.#end);
    for (const { at, bytes } of this.#parts) whole.set(bytes, at);
    return whole;
  }
}
