import {
  add,
  constant,
  countDown,
  F32,
  get,
  I32,
  I32_ADD,
  I32_MUL,
  I32_SHIFT_LEFT,
  kernelModule,
  set,
  V128,
  when,
} from "../wasm-kernel.ts";

/**
 * The bytes of a WebAssembly module that imports `env.memory` and exports
 * `scan(list, groups, vectors, scales, rowBytes, query, threshold, out) -> end of out`: for each group of four
 * row numbers in `list`, four float32 scores, `scale * (int8 row . int16 query)`. A group with a score of
 * `threshold` or more is put out in 32 bytes: the four scores, the place of its numbers in `list`, padding.
 *
 * Rows are a multiple of 32 bytes long, and no sum of products may leave 32 bits: the caller sees to both.
 * Opcodes: https://webassembly.github.io/spec/core/binary/instructions.html
 */
export function scanModule(): Uint8Array<ArrayBuffer> {
  return kernelModule({
    name: "scan",
    parameters: [I32, I32, I32, I32, I32, I32, F32, I32],
    results: [I32],
    locals: [
      [6, I32],
      [9, V128],
    ],
    code: scanCode(),
  });
}

/** Bytes of a row that one turn of the inner loop takes. */
const STEP_BYTES = 32;
const LANES = [0, 1, 2, 3] as const;

// Locals, by index.
const [LIST, GROUPS, VECTORS, SCALES, ROW_BYTES, QUERY, THRESHOLD, OUT] = [0, 1, 2, 3, 4, 5, 6, 7];
const [LEFT, QUERY_PLACE] = [8, 9];
const ROWS = [10, 11, 12, 13];
const SUMS = [14, 15, 16, 17];
const [PART, SCORES, LOW, HIGH, FACTORS] = [18, 19, 20, 21, 22];

/** Four rows at a time: each part of the query is loaded once for them, and their sums stay in registers. */
function scanCode(): number[] {
  const step = [0, 8, 16, 24].flatMap((offset) => [
    ...set(PART, vectorLoad(QUERY_PLACE, offset * 2)),
    ...LANES.flatMap((lane) =>
      set(SUMS[lane]!, [
        ...get(SUMS[lane]!),
        ...loadInt8s(ROWS[lane]!, offset),
        ...get(PART),
        ...DOT_I16,
        ...ADD_I32X4,
      ]),
    ),
  ]);
  const inner = [
    ...step,
    ...LANES.flatMap((lane) => add(ROWS[lane]!, constant(STEP_BYTES))),
    ...add(QUERY_PLACE, constant(2 * STEP_BYTES)),
  ];
  const group = [
    ...LANES.flatMap((lane) => [
      ...set(ROWS[lane]!, [...loadI32(LIST, 4 * lane), ...get(ROW_BYTES), I32_MUL]),
      ...add(ROWS[lane]!, get(VECTORS)),
      ...set(SUMS[lane]!, ZERO),
    ]),
    ...set(QUERY_PLACE, get(QUERY)),
    ...set(LEFT, get(ROW_BYTES)),
    ...countDown(LEFT, STEP_BYTES, inner),
    ...set(LOW, pairSums(SUMS[0]!, SUMS[1]!)),
    ...set(HIGH, pairSums(SUMS[2]!, SUMS[3]!)),
    ...LANES.flatMap((lane) =>
      set(FACTORS, [
        ...get(SCALES),
        ...loadI32(LIST, 4 * lane),
        ...constant(2),
        I32_SHIFT_LEFT,
        I32_ADD,
        ...get(FACTORS),
        ...loadLane(lane),
      ]),
    ),
    ...set(SCORES, [
      ...shuffle(LOW, HIGH, [0, 1, 4, 5]),
      ...shuffle(LOW, HIGH, [2, 3, 6, 7]),
      ...ADD_I32X4,
      ...TO_FLOATS,
      ...get(FACTORS),
      ...MULTIPLY_F32X4,
    ]),
    ...get(SCORES),
    ...get(THRESHOLD),
    ...SPLAT_F32,
    ...AT_LEAST,
    ...ANY_TRUE,
    ...when([
      ...store(OUT, SCORES, STORE_VECTOR),
      ...store(OUT, LIST, storeI32(16)),
      ...add(OUT, constant(32)),
    ]),
    ...add(LIST, constant(16)),
  ];
  return [...countDown(GROUPS, 1, group), ...get(OUT)];
}

const DOT_I16 = [0xfd, 0xba, 0x01];
const ADD_I32X4 = [0xfd, 0xae, 0x01];
const TO_FLOATS = [0xfd, 0xfa, 0x01];
const MULTIPLY_F32X4 = [0xfd, 0xe6, 0x01];
const SPLAT_F32 = [0xfd, 0x13];
const AT_LEAST = [0xfd, 0x46];
const ANY_TRUE = [0xfd, 0x53];
const ZERO = [0xfd, 0x0c, ...Array<number>(16).fill(0)];
// Memory arguments start with the alignment, as a power of two.
const STORE_VECTOR = [0xfd, 0x0b, 4, 0];

/** Of two vectors of sums: the first of both, the second of both, each of half its lanes. */
function pairSums(a: number, b: number): number[] {
  return [...shuffle(a, b, [0, 4, 1, 5]), ...shuffle(a, b, [2, 6, 3, 7]), ...ADD_I32X4];
}

/** @param lanes of 32 bits: 0 to 3 of `a`, 4 to 7 of `b` */
function shuffle(a: number, b: number, lanes: readonly number[]): number[] {
  const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte));
  return [...get(a), ...get(b), 0xfd, 0x0d, ...bytes];
}

const load = (pointer: number, how: readonly number[]): number[] => [...get(pointer), ...how];
const store = (pointer: number, value: number, how: readonly number[]): number[] => [
  ...get(pointer),
  ...get(value),
  ...how,
];

const vectorLoad = (pointer: number, offset: number): number[] =>
  load(pointer, [0xfd, 0x00, 4, offset]);

/** Eight signed bytes, as 16 bits each. */
const loadInt8s = (pointer: number, offset: number): number[] =>
  load(pointer, [0xfd, 0x01, 3, offset]);

const loadI32 = (pointer: number, offset: number): number[] => load(pointer, [0x28, 2, offset]);
const storeI32 = (offset: number): number[] => [0x36, 2, offset];
const loadLane = (lane: number): number[] => [0xfd, 0x56, 2, 0, lane];
