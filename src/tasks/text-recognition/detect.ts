import type { RgbaImage } from "../image/index.ts";
import { output } from "../outputs.ts";
import type { TensorRun } from "../task.ts";
import { type TextMap, textBoxes } from "./boxes.ts";
import type { Rectangle } from "./geometry.ts";
import { shrunk } from "./page.ts";
import { layOn, pixelsOfTile, tilesOf } from "./tiles.ts";

/** In what a page is read. */
export interface Detection {
  /** The longer side of the page as the detector sees it. */
  readonly pageSide: number;
  /** The side of its squares. */
  readonly tileSide: number;
}

/** Where text stands on a page, in its pixels: each square is one run of the `detector`. */
export function* detectText(
  page: RgbaImage,
  { pageSide, tileSide }: Detection,
): TensorRun<Rectangle[]> {
  const seen = shrunk(page, pageSide);
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
