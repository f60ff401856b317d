export type Vector = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/** Where vectors live, and how matrices are multiplied. */
export interface Algebra {
  /** Zeros; they are kept as long as the algebra is. */
  vector(length: number): Vector;
  /** c += a·b, with a [rows, inner], b [inner, columns] and c [rows, columns], row-major. */
  multiply(a: Vector, b: Vector, c: Vector, size: MatrixProduct): void;
}

export interface MatrixProduct {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/** Float64 and plain loops: the reference that `simdAlgebra` is checked against. */
export const doublePrecision: Algebra = {
  vector: (length) => new Float64Array(length),
  multiply(a, b, c, size) {
    multiplyPart(a, b, c, size, { fromRow: 0, fromColumn: 0 });
  },
};

/** c += a·b, but only from this row or from this column on. */
export function multiplyPart(
  a: Vector,
  b: Vector,
  c: Vector,
  { rows, inner, columns }: MatrixProduct,
  { fromRow, fromColumn }: { readonly fromRow: number; readonly fromColumn: number },
): void {
  for (let row = 0; row < rows; row++) {
    const first = row < fromRow ? fromColumn : 0;
    if (first >= columns) continue;
    for (let k = 0; k < inner; k++) {
      const factor = a[row * inner + k]!;
      for (let column = first; column < columns; column++) {
        c[row * columns + column]! += factor * b[k * columns + column]!;
      }
    }
  }
}

/** [rows, columns] becomes [columns, rows]. */
export function transpose(from: Vector, to: Vector, rows: number, columns: number): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      to[column * rows + row] = from[row * columns + column]!;
    }
  }
}

/** Each row of the matrix becomes a copy of `row`. */
export function fillRows(matrix: Vector, row: Vector): void {
  for (let start = 0; start < matrix.length; start += row.length) matrix.set(row, start);
}

/** sums += all rows of the matrix. */
export function addRows(matrix: Vector, sums: Vector): void {
  for (let start = 0; start < matrix.length; start += sums.length) {
    for (let column = 0; column < sums.length; column++) sums[column]! += matrix[start + column]!;
  }
}
