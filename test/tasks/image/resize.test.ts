import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { resizeBilinear, type RgbaImage } from "../../../src/tasks/image/index.ts";

function picture(width: number, height: number, pixels: readonly number[][]): RgbaImage {
  return { width, height, data: Uint8Array.from(pixels.flat()) };
}

const grey = (...values: number[]) => values.map((value) => [value, value, value, 255]);

describe("resizeBilinear", () => {
  it("keeps a picture that has the size already", () => {
    const pixels = [
      [1, 2, 3, 255],
      [4, 5, 6, 255],
    ];
    expect([...resizeBilinear(picture(2, 1, pixels), 2, 1)]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  // tf.image.resizeBilinear(image, [height, width], true) of @tensorflow/tfjs 4.22.0.
  it.each([
    ["wider", 2, 1, [0, 100], 3, 1, [0, 50, 100]],
    ["higher", 1, 2, [10, 40], 1, 4, [10, 20, 30, 40]],
    ["smaller", 5, 1, [0, 10, 20, 30, 40], 3, 1, [0, 20, 40]],
    ["both", 2, 2, [0, 90, 60, 150], 3, 3, [0, 45, 90, 30, 75, 120, 60, 105, 150]],
    ["one pixel", 3, 1, [7, 8, 9], 1, 1, [7]],
    ["from one pixel", 1, 1, [7], 2, 2, [7, 7, 7, 7]],
  ])("does what TensorFlow does: %s", (_, width, height, values, toWidth, toHeight, expected) => {
    const resized = resizeBilinear(picture(width, height, grey(...values)), toWidth, toHeight);
    expect(resized).toHaveLength(3 * expected.length);
    for (const [index, value] of expected.entries()) {
      expect([...resized.subarray(3 * index, 3 * index + 3)]).toEqual(
        Array(3).fill(expect.closeTo(value, 4)),
      );
    }
  });

  it("shows white behind what is transparent", () => {
    const pixels = [
      [10, 20, 30, 0],
      [100, 0, 255, 51],
    ];
    const resized = [...resizeBilinear(picture(2, 1, pixels), 2, 1)];
    expect(resized).toEqual(
      [255, 255, 255, 224, 204, 255].map((value) => expect.closeTo(value, 4)),
    );
  });

  it("never leaves the range of its pixels", () => {
    const size = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(size, size, size, size, fc.nat(), (width, height, toWidth, toHeight, seed) => {
        const values = Array.from({ length: width * height }, (_, at) => (at * 7919 + seed) % 256);
        const resized = resizeBilinear(picture(width, height, grey(...values)), toWidth, toHeight);
        expect(Math.min(...resized)).toBeGreaterThanOrEqual(Math.min(...values) - 1e-3);
        expect(Math.max(...resized)).toBeLessThanOrEqual(Math.max(...values) + 1e-3);
      }),
    );
  });
});
