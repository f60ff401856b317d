/**
 * The bytes of a corpus: what the memory of a search instance holds from its first byte on, as it is published.
 * Numbers are unsigned, of 32 bits, the least significant byte first; every section begins at a multiple of 16.
 *
 * | offset      | bytes    | holds                                                                            |
 * |-------------|----------|----------------------------------------------------------------------------------|
 * | 0           | 8        | `NEARVECS`, in ASCII                                                             |
 * | 8           | 4        | the format: 2                                                                    |
 * | 12          | 4        | the length of all of it                                                          |
 * | 16          | 4        | N, the number of rows                                                            |
 * | 20          | 4        | the dimensions of a vector                                                       |
 * | 24          | 4        | R, the bytes of a row: the dimensions, rounded up to a multiple of 32            |
 * | 28          | 4        | C, the number of columns                                                         |
 * | 32          | 4        | where the vectors begin: N · R signed bytes, zeros beyond the dimensions         |
 * | 36          | 4        | where the scales begin: N float32; row · scale has length 1                      |
 * | 40, 44      | 4, 4     | where the ends of the ids begin (N numbers), and the ids, in UTF-8               |
 * | 48, 52      | 4, 4     | the same of the texts; zeros where there are none                                |
 * | 56          | 4        | where N numbers begin: 0 for a row like no other, else 1 + the first row like it |
 * | 64 + 24 · i | 24       | column i, in the order of the manifest:                                          |
 * | + 0         | 4        | its type: 0 string, 1 number, 2 boolean                                          |
 * | + 4         | 4        | V, the number of its values                                                      |
 * | + 8         | 4        | W, the bytes of a code: 1, 2 or 4                                                |
 * | + 12        | 4        | where its codes begin: N numbers of W bytes; 0 for none, 1 for the first value   |
 * | + 16        | 4        | strings: where the ends of the values begin (V numbers); else 0                  |
 * | + 20        | 4        | where the values begin: UTF-8, or float64; in rising order, no two the same      |
 */
export const FORMAT = 2;

export const MAGIC = new TextEncoder().encode("NEARVECS");
export const HEADER_BYTES = 64;
export const COLUMN_BYTES = 24;

/** What the scan takes in one turn. */
const ROW_ALIGNMENT_BYTES = 32;
export const SECTION_ALIGNMENT_BYTES = 16;
const PAGE_BYTES = 65_536;

/** So many rows are scanned for one query after another while they are in the caches: 0.4 MB of 384 dimensions. */
export const CHUNK_ROWS = 1024;

/** Bytes of a group of four in what the scan puts out. */
export const GROUP_BYTES = 32;

/** Beyond this, fewer than 12 bits of a query would keep the sums in 32 bits. */
export const MAX_DIMENSIONS = 4096;

export const COLUMN_TYPES = ["string", "number", "boolean"] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

export function alignUp(bytes: number, alignment = SECTION_ALIGNMENT_BYTES): number {
  return Math.ceil(bytes / alignment) * alignment;
}

export function rowBytesOf(dimensions: number): number {
  return alignUp(dimensions, ROW_ALIGNMENT_BYTES);
}

/** Where a search writes, behind the corpus. */
export interface Scratch {
  readonly query: number;
  readonly list: number;
  readonly out: number;
  /** Length of the memory, in pages of WASM. */
  readonly pages: number;
}

export function scratchOf(corpusBytes: number, dimensions: number): Scratch {
  const query = alignUp(corpusBytes);
  const list = query + 2 * rowBytesOf(dimensions);
  const out = list + 4 * CHUNK_ROWS;
  const end = out + (CHUNK_ROWS / 4) * GROUP_BYTES;
  return { query, list, out, pages: Math.ceil(end / PAGE_BYTES) };
}

/** Linear memory of a search instance. */
export function memoryBytesOf(corpusBytes: number, dimensions: number): number {
  return scratchOf(corpusBytes, dimensions).pages * PAGE_BYTES;
}
