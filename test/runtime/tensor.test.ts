import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { floatsOfBf16, numbersOf, tensorOf, toBf16 } from "../../src/runtime/tensor.ts";

describe("BF16", () => {
  it.each([
    [1, 0x3f80],
    [-2.5, 0xc020],
    [0, 0],
    [-0, 0x8000],
    [Infinity, 0x7f80],
    [3.4e38, 0x7f80],
    [1 + 1 / 256, 0x3f80],
    [1 + 3 / 256, 0x3f82],
    [1 + 1 / 256 + 1 / 4096, 0x3f81],
    [2 ** -133, 1],
  ])("has %d as %i", (value, bits) => {
    expect(toBf16(value)).toBe(bits);
  });

  it("keeps NaN one", () => {
    const [value] = floatsOfBf16(Uint16Array.of(toBf16(Number.NaN)));
    expect(value).toBeNaN();
  });

  it("comes back from the floats that it is", () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
    const numbers = numbersOf({ datatype: "BF16", shape: [all.length], data: all });
    const isOther = (value: number, bits: number): boolean =>
      !Number.isNaN(value) && toBf16(value) !== bits;
    expect(numbers.findIndex(isOther)).toBe(-1);
  });

  it("is the nearest there is", () => {
    fc.assert(
      fc.property(fc.float({ min: -(2 ** 120), max: 2 ** 120, noNaN: true }), (value) => {
        const bits = toBf16(value);
        const [near = 0, ...others] = floatsOfBf16(Uint16Array.of(bits, bits - 1, bits + 1));
        const distance = Math.abs(near - value);
        expect(others.some((other) => Math.abs(other - value) < distance)).toBe(false);
      }),
    );
  });
});

describe("the tensor of bytes", () => {
  const bytes = new Uint8Array([0, 0, 0, 0, 0, 0, 0x80, 0x3f]);

  it("is a view of them where they are aligned", () => {
    const { data } = tensorOf({ datatype: "FP32", shape: [2], bytes });
    expect(data).toEqual(Float32Array.of(0, 1));
    expect((data as Float32Array).buffer).toBe(bytes.buffer);
  });

  it("is a copy where they are not", () => {
    const odd = new Uint8Array([7, ...bytes]).subarray(1);
    const { data } = tensorOf({ datatype: "FP32", shape: [2], bytes: odd });
    expect(data).toEqual(Float32Array.of(0, 1));
    expect((data as Float32Array).buffer).not.toBe(odd.buffer);
  });
});
