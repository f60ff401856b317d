import type { RgbaImage } from "../image/index.ts";
import { output } from "../outputs.ts";
import type { TensorRun } from "../task.ts";
import { type TextMap, textBoxes } from "./boxes.ts";
import type { Rectangle } from "./geometry.ts";
import { shrunk } from "./page.ts";
import { layOn, pixelsOfTile, tilePixels, tilesOf } from "./tiles.ts";

/** In what a page is read. */
export interface Detection {
  /** The longer side of the page as the detector sees it; of a long and narrow page it sees more. */
  readonly pageSide: number;
  /** The side of its squares. */
  readonly tileSide: number;
}

/** Where text stands on a page, in its pixels: each square is one run of the `detector`. */
export function* detectText(page: RgbaImage, detection: Detection): TensorRun<Rectangle[]> {
  const { tileSide } = detection;
  const seen = shrunk(page, scaleOf(page, detection));
  const { width, height } = seen;
  const map: TextMap = { width, height, data: new Float32Array(width * height) };
  for (const tile of tilesOf(seen, tileSide)) {
    const data = pixelsOfTile(seen, tile);
    if (data === undefined) continue;
    const shape = [1, tile.height, tile.width, 4];
    const pixels = { datatype: "UINT8", shape, data } as const;
    const outputs = yield { member: "detector", feeds: { pixels } };
    layOn(map, tile, output(outputs, "probability", "FP32", tile.height * tile.width));
  }
  const [scaleX, scaleY] = [page.width / width, page.height / height];
  return textBoxes(map).map((box) => ({
    ...box,
    centre: { x: box.centre.x * scaleX, y: box.centre.y * scaleY },
    width: box.width * scaleX,
    height: box.height * scaleY,
  }));
}

const SHRINK_STEP = 0.9;

/**
 * Shrunk to `pageSide`, the text of a long strip would be gone: what is no higher than a square stays as it is, or
 * as large as in no more pixels of squares than a whole page has.
 */
export function scaleOf(
  page: Pick<RgbaImage, "width" | "height">,
  { pageSide, tileSide }: Detection,
): number {
  const least = Math.min(1, pageSide / Math.max(page.width, page.height));
  const most = tilePixels({ width: pageSide, height: pageSide }, tileSide);
  let scale = Math.min(1, tileSide / Math.min(page.width, page.height));
  const isTooMuch = (): boolean => {
    const size = { width: page.width * scale, height: page.height * scale };
    return tilePixels(size, tileSide) > most;
  };
  while (scale > least && isTooMuch()) scale *= SHRINK_STEP;
  return Math.max(scale, least);
}
