import type { RgbaImage } from "../image/index.ts";
import type { TextMap } from "./boxes.ts";

/** The detector halves a picture five times. */
const MULTIPLE = 32;

/** What two neighbours both read: a letter at the edge of one stands whole in the other. */
const OVERLAP = 32;

/** Paper: a square without anything darker or lighter than this is not read. */
const LEAST_CONTRAST = 16;

const WHITE = 255;

type Size = Pick<RgbaImage, "width" | "height">;

/** A rectangle of a page for one run of the detector. */
export interface Tile {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Covers a page with squares of at most `side`, which is a multiple of 32. */
export function tilesOf({ width, height }: Size, side: number): Tile[] {
  const [columns, rows] = [startsOf(width, side), startsOf(height, side)];
  const size = {
    width: Math.min(side, roundedUp(width)),
    height: Math.min(side, roundedUp(height)),
  };
  return rows.flatMap((top) => columns.map((left) => ({ left, top, ...size })));
}

/** Pixels of all squares that cover a page. */
export function tilePixels(page: Size, side: number): number {
  return tilesOf(page, side).reduce((sum, { width, height }) => sum + width * height, 0);
}

function startsOf(length: number, side: number): number[] {
  if (length <= side) return [0];
  const count = Math.ceil((length - OVERLAP) / (side - OVERLAP));
  return Array.from({ length: count }, (_, index) =>
    Math.round((index * (length - side)) / (count - 1)),
  );
}

function roundedUp(length: number): number {
  return Math.ceil(length / MULTIPLE) * MULTIPLE;
}

/** The pixels of a tile, white beyond the page; undefined where nothing is written. */
export function pixelsOfTile(page: RgbaImage, tile: Tile): Uint8Array | undefined {
  const pixels = new Uint8Array(tile.width * tile.height * 4).fill(WHITE);
  const columns = Math.min(tile.width, page.width - tile.left);
  const rows = Math.min(tile.height, page.height - tile.top);
  for (let row = 0; row < rows; row++) {
    const from = ((tile.top + row) * page.width + tile.left) * 4;
    pixels.set(page.data.subarray(from, from + columns * 4), row * tile.width * 4);
  }
  return hasContrast(pixels, tile.width, columns, rows) ? pixels : undefined;
}

function hasContrast(pixels: Uint8Array, width: number, columns: number, rows: number): boolean {
  for (let channel = 0; channel < 3; channel++) {
    let [least, most] = [255, 0];
    for (let row = 0; row < rows; row++) {
      const start = row * width * 4 + channel;
      for (let at = start; at < start + columns * 4; at += 4) {
        const value = pixels[at] ?? 0;
        if (value < least) least = value;
        if (value > most) most = value;
      }
      if (most - least > LEAST_CONTRAST) return true;
    }
  }
  return false;
}

/** Lays what the detector says of a tile on the map of its page: where tiles overlap, the larger counts. */
export function layOn(map: TextMap, { left, top, width, height }: Tile, said: Float32Array): void {
  const rows = Math.min(height, map.height - top);
  const columns = Math.min(width, map.width - left);
  for (let row = 0; row < rows; row++) {
    const to = (top + row) * map.width + left;
    for (let column = 0; column < columns; column++) {
      const value = said[row * width + column] ?? 0;
      if (value > (map.data[to + column] ?? 0)) map.data[to + column] = value;
    }
  }
}
