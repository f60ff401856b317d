import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { type Int8Matrix, quantizeColumns, quantizeRows } from "../../../src/publish/onnx/int8.ts";
import { transpose } from "../../../src/publish/onnx/matrix.ts";

/** Of everyday size, or near either end of float32. */
const value = fc.oneof(
  fc.float({ min: -10, max: 10, noNaN: true }),
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 1e-38, -1.4e-45, 3.4e38, -3.4e38),
);

const matrix = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }))
  .chain(([rows, columns]) =>
    fc
      .array(value, { minLength: rows * columns, maxLength: rows * columns })
      .map((values) => ({ rows, columns, floats: Float32Array.from(values) })),
  );

/** Half a scale, and what float32 rounds away on the way there and back. */
function expectNear(floats: Float32Array, { values }: Int8Matrix, scale: (at: number) => number) {
  for (const [at, float] of floats.entries()) {
    const error = Math.abs(float - values[at]! * scale(at));
    expect(error).toBeLessThanOrEqual(scale(at) * 0.5001);
  }
}

describe("quantizeColumns", () => {
  it("is off by half a scale at most", () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, floats }) => {
        const made = quantizeColumns(floats, rows, columns);
        expect(made.scales).toHaveLength(columns);
        expectNear(floats, made, (at) => made.scales[at % columns]!);
      }),
      { numRuns: 500 },
    );
  });

  it("uses the whole range in every column", () => {
    const { values, scales } = quantizeColumns(Float32Array.of(1, -1000, -0.25, 3), 2, 2);
    expect([...values]).toEqual([127, -127, -32, 0]);
    expect([...scales]).toEqual([Math.fround(1 / 127), Math.fround(1000 / 127)]);
  });

  it("is as exact for a weight as for its negative, and never uses -128", () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, floats }) => {
        const negatives = floats.map((one) => -one);
        const made = quantizeColumns(floats, rows, columns);
        const negative = quantizeColumns(negatives, rows, columns);
        expect(negative.scales).toEqual(made.scales);
        for (const [at, float] of floats.entries()) {
          const units = float / made.scales[at % columns]!;
          // Half a unit is rounded up in either.
          expect(Math.abs(-units - negative.values[at]!)).toBe(Math.abs(units - made.values[at]!));
          expect(made.values[at]).toBeGreaterThanOrEqual(-127);
        }
      }),
    );
  });

  it("gives zeros for zeros, with a scale that can be divided by", () => {
    const { values, scales } = quantizeColumns(new Float32Array(6), 3, 2);
    expect(values).toEqual(new Int8Array(6));
    expect(scales).toEqual(Float32Array.of(1, 1));
  });
});

describe("quantizeRows", () => {
  it("is off by half a scale at most", () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, floats }) => {
        const made = quantizeRows(floats, rows, columns);
        expect(made.scales).toHaveLength(rows);
        expectNear(floats, made, (at) => made.scales[Math.floor(at / columns)]!);
      }),
      { numRuns: 500 },
    );
  });

  it("does with rows what quantizeColumns does with columns", () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, floats }) => {
        const byRows = quantizeRows(floats, rows, columns);
        const byColumns = quantizeColumns(transpose(floats, rows, columns), columns, rows);
        expect(byRows.scales).toEqual(byColumns.scales);
        expect(transpose(Float32Array.from(byRows.values), rows, columns)).toEqual(
          Float32Array.from(byColumns.values),
        );
      }),
    );
  });
});
