/** A matrix as symmetric int8: `values × scale` of the column or row gives it back, nearly. */
export interface Int8Matrix {
  readonly values: Int8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
}

/** Symmetric: -128 is not used, so that a weight and its negative are equally exact. */
const LARGEST = 127;

/**
 * Quantizes each column of a row-major `[rows, columns]` matrix with a scale of its own,
 * as the second operand of MatMulInteger wants it.
 */
export function quantizeColumns(matrix: Float32Array, rows: number, columns: number): Int8Matrix {
  const largest = new Float32Array(columns);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const magnitude = Math.abs(matrix[row * columns + column]!);
      if (magnitude > largest[column]!) largest[column] = magnitude;
    }
  }
  const scales = largest.map(scaleFor);
  const values = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const index = row * columns + column;
      values[index] = Math.round(matrix[index]! / scales[column]!);
    }
  }
  return { values, scales };
}

/** Quantizes each row of a row-major `[rows, columns]` table with a scale of its own. */
export function quantizeRows(table: Float32Array, rows: number, columns: number): Int8Matrix {
  const scales = new Float32Array(rows);
  const values = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    const start = row * columns;
    let largest = 0;
    for (let index = start; index < start + columns; index += 1) {
      largest = Math.max(largest, Math.abs(table[index]!));
    }
    const scale = scaleFor(Math.fround(largest));
    scales[row] = scale;
    for (let index = start; index < start + columns; index += 1) {
      values[index] = Math.round(table[index]! / scale);
    }
  }
  return { values, scales };
}

/** Zeros quantize to zeros under any scale but zero. */
function scaleFor(largest: number): number {
  const scale = Math.fround(largest / LARGEST);
  // A subnormal scale would round so coarsely that values overflow int8.
  return scale < 1e-30 ? 1 : scale;
}
