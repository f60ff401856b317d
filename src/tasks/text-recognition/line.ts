import type { RgbaImage } from "../image/index.ts";
import type { Rectangle } from "./geometry.ts";

/** Lines as the recogniser and the classifier see them are this high. */
export const LINE_HEIGHT = 48;

/** Share of a line's height that is cut out around it: in letters as high as the picture spaces get lost. */
export const MARGIN = 0.2;

/** RGBA pixels of a line that lies level, `LINE_HEIGHT` high. */
export interface Line {
  readonly width: number;
  readonly data: Uint8Array;
}

/** Text that is smaller than this part of its pixels is read from several of them. */
const PIXELS_PER_SAMPLE = 1.5;

/** How wide a line of this rectangle is. */
export function lineWidth({ width, height }: Rectangle): number {
  return Math.max(1, Math.round((LINE_HEIGHT * width) / height));
}

/** Cuts a line out of a page and lays it level, `width` wide: bilinear, and the mean of several points where it shrinks. */
export function cutOut(page: RgbaImage, rectangle: Rectangle, width = lineWidth(rectangle)): Line {
  const { centre, along, down } = rectangle;
  const samples = Math.max(1, Math.round(rectangle.height / LINE_HEIGHT / PIXELS_PER_SAMPLE));
  const data = new Uint8Array(width * LINE_HEIGHT * 4);
  const colour = new Float32Array(4);
  const [stepAlong, stepDown] = [rectangle.width / width, rectangle.height / LINE_HEIGHT];
  for (let row = 0; row < LINE_HEIGHT; row++) {
    for (let column = 0; column < width; column++) {
      colour.fill(0);
      for (let sample = 0; sample < samples * samples; sample++) {
        const [part, lower] = [(sample % samples) + 0.5, Math.floor(sample / samples) + 0.5];
        const a = (column + part / samples) * stepAlong - rectangle.width / 2;
        const d = (row + lower / samples) * stepDown - rectangle.height / 2;
        addPixel(
          page,
          centre.x + a * along.x + d * down.x - 0.5,
          centre.y + a * along.y + d * down.y - 0.5,
          colour,
        );
      }
      const at = (row * width + column) * 4;
      for (let channel = 0; channel < 4; channel++) {
        data[at + channel] = (colour[channel] ?? 0) / (samples * samples) + 0.5;
      }
    }
  }
  return { width, data };
}

/** Adds the colour between four pixels; beyond the page its edge goes on. */
function addPixel(
  { width, height, data }: RgbaImage,
  x: number,
  y: number,
  sum: Float32Array,
): void {
  const cx = Math.min(Math.max(x, 0), width - 1);
  const cy = Math.min(Math.max(y, 0), height - 1);
  const [x0, y0] = [Math.floor(cx), Math.floor(cy)];
  const [fx, fy] = [cx - x0, cy - y0];
  const right = x0 + 1 < width ? 4 : 0;
  const below = y0 + 1 < height ? width * 4 : 0;
  const at = (y0 * width + x0) * 4;
  for (let channel = 0; channel < 4; channel++) {
    const here = at + channel;
    const upper = (data[here] ?? 0) * (1 - fx) + (data[here + right] ?? 0) * fx;
    const lower = (data[here + below] ?? 0) * (1 - fx) + (data[here + below + right] ?? 0) * fx;
    sum[channel]! += upper * (1 - fy) + lower * fy;
  }
}

/** What the authors pad with: 0 between -1 and 1. */
const GREY = 128;

/** Lines side by side in one tensor, each filled up to `width`. */
export function stacked(lines: readonly Line[], width: number): Uint8Array {
  const pixels = new Uint8Array(lines.length * LINE_HEIGHT * width * 4).fill(GREY);
  for (const [index, line] of lines.entries()) {
    for (let row = 0; row < LINE_HEIGHT; row++) {
      const from = row * line.width * 4;
      const to = (index * LINE_HEIGHT + row) * width * 4;
      pixels.set(line.data.subarray(from, from + line.width * 4), to);
    }
  }
  return pixels;
}
