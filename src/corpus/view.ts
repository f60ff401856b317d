import {
  COLUMN_BYTES,
  COLUMN_TYPES,
  type ColumnType,
  FORMAT,
  HEADER_BYTES,
  MAGIC,
  rowBytesOf,
} from "./format.ts";

/** Strings one after the other, decoded one at a time. */
export interface Strings {
  readonly length: number;
  at(index: number): string;
  bytesAt(index: number): Uint8Array;
}

/** The values of one column, and the code of each row: 0 for none, 1 for the first value. */
export interface Column {
  readonly type: ColumnType;
  readonly codes: Uint8Array | Uint16Array | Uint32Array;
  /** In rising order: of UTF-8 bytes, or of numbers. Booleans are 0 and 1. */
  readonly values: Strings | Float64Array;
}

/** A corpus in memory, as it lies there: nothing is copied, and nothing is parsed by row. */
export interface CorpusView {
  readonly bytes: number;
  readonly count: number;
  readonly dimensions: number;
  readonly rowBytes: number;
  readonly vectors: Int8Array;
  readonly vectorsOffset: number;
  readonly scales: Float32Array;
  readonly scalesOffset: number;
  /** 0 for a row like no other, else 1 + the first row with the same bytes. */
  readonly twins: Uint32Array;
  readonly ids: Strings;
  readonly texts: Strings | undefined;
  readonly columns: readonly Column[];
}

/** @throws Error when the bytes are no corpus of this format, or a section lies outside them */
export function viewOf(buffer: ArrayBuffer, bytes: number): CorpusView {
  const header = new DataView(buffer, 0, Math.min(bytes, buffer.byteLength));
  const word = (offset: number): number => header.getUint32(offset, true);
  if (MAGIC.some((byte, at) => header.getUint8(at) !== byte)) throw new Error("It is no corpus.");
  if (word(8) !== FORMAT) throw new Error(`It has format ${word(8)}; this is ${FORMAT}.`);
  if (word(12) !== bytes) throw new Error("It has another length than it says.");
  const [count, dimensions, rowBytes, columns] = [word(16), word(20), word(24), word(28)];
  if (rowBytes !== rowBytesOf(dimensions)) throw new Error("Its rows have another length.");

  const within = (offset: number, length: number): number => {
    if (offset < HEADER_BYTES || offset + length > bytes) {
      throw new Error("A section of it lies outside.");
    }
    return offset;
  };
  const strings = (endsAt: number, bytesAt: number, length: number): Strings => {
    const ends = new Uint32Array(buffer, within(endsAt, 4 * length), length);
    const size = ends[length - 1] ?? 0;
    return stringsOf(ends, new Uint8Array(buffer, within(bytesAt, size), size));
  };
  const column = (index: number): Column => {
    const at = HEADER_BYTES + COLUMN_BYTES * index;
    const [kind, values, width] = [word(at), word(at + 4), word(at + 8)];
    const type = COLUMN_TYPES[kind];
    if (type === undefined) throw new Error("A column of it has a type that is not known.");
    const Codes = width === 1 ? Uint8Array : width === 2 ? Uint16Array : Uint32Array;
    const codes = new Codes(buffer, within(word(at + 12), width * count), count);
    const first = word(at + 20);
    return {
      type,
      codes,
      values:
        type === "string"
          ? strings(word(at + 16), first, values)
          : new Float64Array(buffer, within(first, 8 * values), values),
    };
  };
  const vectorsOffset = within(word(32), count * rowBytes);
  const scalesOffset = within(word(36), 4 * count);
  return {
    bytes,
    count,
    dimensions,
    rowBytes,
    vectors: new Int8Array(buffer, vectorsOffset, count * rowBytes),
    vectorsOffset,
    scales: new Float32Array(buffer, scalesOffset, count),
    scalesOffset,
    twins: new Uint32Array(buffer, within(word(56), 4 * count), count),
    ids: strings(word(40), word(44), count),
    texts: word(48) === 0 ? undefined : strings(word(48), word(52), count),
    columns: Array.from({ length: columns }, (_, index) => column(index)),
  };
}

const utf8 = new TextDecoder();

function stringsOf(ends: Uint32Array, bytes: Uint8Array): Strings {
  const bytesAt = (index: number): Uint8Array =>
    bytes.subarray(index === 0 ? 0 : ends[index - 1], ends[index]);
  return { length: ends.length, bytesAt, at: (index) => utf8.decode(bytesAt(index)) };
}

/** What a row has in a column; undefined for nothing. */
export function valueAt(
  { type, codes, values }: Column,
  row: number,
): string | number | boolean | undefined {
  const code = codes[row] ?? 0;
  if (code === 0) return undefined;
  if (!(values instanceof Float64Array)) return values.at(code - 1);
  const value = values[code - 1] ?? 0;
  return type === "boolean" ? value === 1 : value;
}
