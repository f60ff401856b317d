import { leastRectangle, type Point, type Rectangle } from "./geometry.ts";

/** How likely each pixel of a page is text. */
export interface TextMap {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** PaddleOCR's: a pixel is text above the first, a box counts above the second. */
const PIXEL_THRESHOLD = 0.3;
const BOX_THRESHOLD = 0.6;

/** The detector is taught shrunk lines; this times area by perimeter gives them their size back. */
const UNCLIP_RATIO = 1.6;

/** In pixels of the map, before and after. */
const MIN_SIDE = 3;
const MIN_UNCLIPPED_SIDE = 5;

/** As PaddleOCR: what more a page may say is not text. */
const MAX_BOXES = 1_000;

/** What is text on a map: DBPostProcess of PaddleOCR. Rectangles are in pixels of the map. */
export function textBoxes(map: TextMap): Rectangle[] {
  const boxes: Rectangle[] = [];
  for (const patch of patches(map)) {
    if (boxes.length === MAX_BOXES) break;
    const shrunk = leastRectangle(cornersOfRows(patch));
    if (Math.min(shrunk.width, shrunk.height) < MIN_SIDE) continue;
    const { mean, area } = within(map, patch);
    if (mean < BOX_THRESHOLD) continue;
    const box = unclip(shrunk, area);
    if (Math.min(box.width, box.height) >= MIN_UNCLIPPED_SIDE) boxes.push(box);
  }
  return boxes;
}

/** The area is the patch's own: the rectangle around a bent line is too high already. */
function unclip(rectangle: Rectangle, area: number): Rectangle {
  const { width, height } = rectangle;
  const distance = (area * UNCLIP_RATIO) / (2 * (width + height));
  return { ...rectangle, width: width + 2 * distance, height: height + 2 * distance };
}

/** The first and the last pixel of each row of a patch. */
type Patch = ReadonlyMap<number, { readonly left: number; readonly right: number }>;

/** Pixels of text that touch, be it at a corner. */
function* patches({ width, height, data }: TextMap): Generator<Patch> {
  const seen = new Uint8Array(data.length);
  const isText = (at: number): boolean => seen[at] === 0 && (data[at] ?? 0) > PIXEL_THRESHOLD;
  const stack: number[] = [];
  for (let start = 0; start < data.length; start++) {
    if (!isText(start)) continue;
    const rows = new Map<number, { left: number; right: number }>();
    seen[start] = 1;
    stack.push(start);
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const [x, y] = [at % width, Math.floor(at / width)];
      const row = rows.get(y);
      if (row === undefined) rows.set(y, { left: x, right: x });
      else if (x < row.left) row.left = x;
      else if (x > row.right) row.right = x;
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          const next = ny * width + nx;
          if (!isText(next)) continue;
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    yield rows;
  }
}

function cornersOfRows(patch: Patch): Point[] {
  return [...patch].flatMap(([y, { left, right }]) => [
    { x: left, y },
    { x: left, y: y + 1 },
    { x: right + 1, y },
    { x: right + 1, y: y + 1 },
  ]);
}

/** PaddleOCR's "slow" score, over the patch's own outline: a rectangle around a bent line holds much that is not text. */
function within({ width, data }: TextMap, patch: Patch): { mean: number; area: number } {
  let [sum, area] = [0, 0];
  for (const [y, { left, right }] of patch) {
    for (let x = left; x <= right; x++) sum += data[y * width + x] ?? 0;
    area += right - left + 1;
  }
  return { mean: sum / area, area };
}
