import type { ShadowComparison } from "../comparison.ts";
import { compareValues, isObject, itemsOf, shareOf } from "./items.ts";

/** Boxes of an image that are compared, the first ones; n images of one answer get 1/√n of it each. */
export const MAX_BOXES = 200;

interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/**
 * Compares what stands where in an image: `[{box: {xmin, ymin, xmax, ymax}}]` or `[{box: [[x, y], …]}]`, a
 * polygon that counts as its bounding rectangle; an array of those for several images. Boxes are paired by
 * intersection over union, the best pair first. An image's distance is 1 - the mean of that over all
 * pairs and all boxes that are left alone, which count as 0.
 *
 * Costs 20 ns per box and box of the other side, and 0.4 µs where they overlap.
 */
export function compareBoxes(a: unknown, b: unknown): ShadowComparison {
  const [images, otherImages] = [imagesOf(a), imagesOf(b)];
  const limit = shareOf(MAX_BOXES, images, otherImages);
  return compareValues("boxes", images, otherImages, (one, other) => {
    const [boxes, otherBoxes] = [rectanglesOf(one, limit), rectanglesOf(other, limit)];
    return boxes && otherBoxes && { distance: distanceOf(boxes, otherBoxes) };
  });
}

function imagesOf(output: unknown): readonly unknown[] {
  return itemsOf(output, ([first]) => !Array.isArray(first));
}

function rectanglesOf(image: unknown, limit: number): Rectangle[] | undefined {
  if (!Array.isArray(image)) return undefined;
  const rectangles: Rectangle[] = [];
  for (const entry of image.slice(0, limit) as readonly unknown[]) {
    const box = isObject(entry) ? entry["box"] : undefined;
    const corners = isObject(box)
      ? [
          [box["xmin"], box["ymin"]],
          [box["xmax"], box["ymax"]],
        ]
      : box;
    if (!isPolygon(corners)) return undefined;
    const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
    rectangles.push({
      left: Math.min(...xs),
      top: Math.min(...ys),
      right: Math.max(...xs),
      bottom: Math.max(...ys),
    });
  }
  return rectangles;
}

/** More corners than a contour of text has, and few enough to be spread into a call. */
const MAX_CORNERS = 1_000;

function isPolygon(value: unknown): value is readonly (readonly [number, number])[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MAX_CORNERS &&
    value.every(
      (corner) =>
        Array.isArray(corner) &&
        corner.length === 2 &&
        corner.every((part) => Number.isFinite(part)),
    )
  );
}

function distanceOf(a: readonly Rectangle[], b: readonly Rectangle[]): number {
  const pairs: { at: number; otherAt: number; overlap: number }[] = [];
  for (const [at, one] of a.entries()) {
    for (const [otherAt, other] of b.entries()) {
      const overlap = intersectionOverUnion(one, other);
      if (overlap > 0) pairs.push({ at, otherAt, overlap });
    }
  }
  // Equal overlaps in an order that is the same when the sides are changed.
  pairs.sort(
    (one, other) =>
      other.overlap - one.overlap ||
      Math.min(one.at, one.otherAt) - Math.min(other.at, other.otherAt) ||
      Math.max(one.at, one.otherAt) - Math.max(other.at, other.otherAt),
  );
  const [taken, otherTaken] = [new Set<number>(), new Set<number>()];
  let sum = 0;
  for (const { at, otherAt, overlap } of pairs) {
    if (taken.has(at) || otherTaken.has(otherAt)) continue;
    taken.add(at);
    otherTaken.add(otherAt);
    sum += overlap;
  }
  const count = a.length + b.length - taken.size;
  return count === 0 ? 0 : Math.max(0, 1 - sum / count);
}

function intersectionOverUnion(a: Rectangle, b: Rectangle): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (width < 0 || height < 0) return 0;
  // A line or a point has no area, and still is the same one.
  const isEqual = width === a.right - a.left && width === b.right - b.left;
  const isEqualHeight = height === a.bottom - a.top && height === b.bottom - b.top;
  if (isEqual && isEqualHeight) return 1;
  const shared = width * height;
  const overlap = shared / (areaOf(a) + areaOf(b) - shared);
  return Number.isFinite(overlap) ? overlap : 0;
}

function areaOf({ left, top, right, bottom }: Rectangle): number {
  return (right - left) * (bottom - top);
}
