import {
  add,
  constant,
  countDown,
  get,
  I32,
  I32_ADD,
  kernelModule,
  set,
  V128,
} from "../../src/publish/wasm-kernel.ts";

/**
 * The bytes of a WebAssembly module that imports `env.memory` and exports
 * `multiply(rows, columns, inner, a, aStride, b, bStride, c, cStride)`: c += a·b in float32, row-major,
 * with pointers and strides in bytes, rows a multiple of 4 and columns of 8.
 * Opcodes: https://webassembly.github.io/spec/core/binary/instructions.html
 */
export function multiplyModule(): Uint8Array<ArrayBuffer> {
  return kernelModule({
    name: "multiply",
    parameters: Array.from({ length: PARAMETERS }, () => I32),
    results: [],
    locals: [
      [I32_LOCALS, I32],
      [V128_LOCALS, V128],
    ],
    code: multiplyCode(),
  });
}

const [PARAMETERS, I32_LOCALS, V128_LOCALS] = [9, 10, 11];
const TILE_ROWS = [0, 1, 2, 3] as const;

// Locals, by index.
const [ROWS, COLUMNS, INNER, A, A_STRIDE, B, B_STRIDE, C, C_STRIDE] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const [COLUMNS_LEFT, INNER_LEFT, B_PLACE, B_COLUMN, C_COLUMN, C_PLACE] = [9, 10, 11, 12, 13, 14];
const A_PLACES = [15, 16, 17, 18];
const SUMS = [19, 20, 21, 22, 23, 24, 25, 26];
const [LEFT, RIGHT, FACTOR] = [27, 28, 29];

/** For each tile of 4×8: eight vectors of sums stay in registers while the inner dimension goes by. */
function multiplyCode(): number[] {
  const acrossTile = (each: (row: number) => number[]): number[] => [
    ...set(C_PLACE, get(C_COLUMN)),
    ...TILE_ROWS.flatMap((row) => [...each(row), ...add(C_PLACE, get(C_STRIDE))]),
  ];
  const loadSums = acrossTile((row) => [
    ...set(SUMS[2 * row]!, load(C_PLACE, 0)),
    ...set(SUMS[2 * row + 1]!, load(C_PLACE, 16)),
  ]);
  const storeSums = acrossTile((row) => [
    ...store(C_PLACE, 0, SUMS[2 * row]!),
    ...store(C_PLACE, 16, SUMS[2 * row + 1]!),
  ]);
  const innerStep = [
    ...set(LEFT, load(B_PLACE, 0)),
    ...set(RIGHT, load(B_PLACE, 16)),
    ...TILE_ROWS.flatMap((row) => [
      ...set(FACTOR, loadSplat(A_PLACES[row]!)),
      ...set(SUMS[2 * row]!, multiplyAdd(SUMS[2 * row]!, LEFT)),
      ...set(SUMS[2 * row + 1]!, multiplyAdd(SUMS[2 * row + 1]!, RIGHT)),
      ...add(A_PLACES[row]!, constant(4)),
    ]),
    ...add(B_PLACE, get(B_STRIDE)),
  ];
  const tile = [
    ...set(A_PLACES[0]!, get(A)),
    ...TILE_ROWS.slice(1).flatMap((row) =>
      set(A_PLACES[row]!, [...get(A_PLACES[row - 1]!), ...get(A_STRIDE), I32_ADD]),
    ),
    ...loadSums,
    ...set(B_PLACE, get(B_COLUMN)),
    ...set(INNER_LEFT, get(INNER)),
    ...countDown(INNER_LEFT, 1, innerStep),
    ...storeSums,
    ...add(B_COLUMN, constant(32)),
    ...add(C_COLUMN, constant(32)),
  ];
  return countDown(ROWS, 4, [
    ...set(COLUMNS_LEFT, get(COLUMNS)),
    ...set(B_COLUMN, get(B)),
    ...set(C_COLUMN, get(C)),
    ...countDown(COLUMNS_LEFT, 8, tile),
    ...TILE_ROWS.flatMap(() => [...add(A, get(A_STRIDE)), ...add(C, get(C_STRIDE))]),
  ]);
}

/** Memory arguments start with the alignment, as a power of two. */
const FLOAT_ALIGNMENT = 2;

function load(pointer: number, offset: number): number[] {
  return [...get(pointer), 0xfd, 0x00, FLOAT_ALIGNMENT, offset];
}

/** Four times the same float. */
function loadSplat(pointer: number): number[] {
  return [...get(pointer), 0xfd, 0x09, FLOAT_ALIGNMENT, 0];
}

function store(pointer: number, offset: number, value: number): number[] {
  return [...get(pointer), ...get(value), 0xfd, 0x0b, FLOAT_ALIGNMENT, offset];
}

function multiplyAdd(sum: number, factor: number): number[] {
  const [product, total] = [
    [0xfd, 0xe6, 0x01],
    [0xfd, 0xe4, 0x01],
  ];
  return [...get(sum), ...get(FACTOR), ...get(factor), ...product!, ...total!];
}
