import type { Rectangle } from "./geometry.ts";

/** Lines whose middles are closer than this share of the lower one's height stand side by side. */
const SAME_ROW = 0.5;

interface Placed<T> {
  readonly item: T;
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

/**
 * Lines in rows, as somebody reads them who turns the page so that most of its text lies level: from top to
 * bottom, and from left to right within a row.
 */
export function readingOrder<T extends { readonly rectangle: Rectangle }>(
  lines: readonly T[],
): T[][] {
  const along = meanDirection(lines.map(({ rectangle }) => rectangle));
  const placed = lines.map((item): Placed<T> => {
    const { centre, height } = item.rectangle;
    const x = centre.x * along.x + centre.y * along.y;
    const y = centre.y * along.x - centre.x * along.y;
    return { item, x, y, height };
  });
  const rows: Placed<T>[][] = [];
  for (const line of placed.toSorted((a, b) => a.y - b.y)) {
    const row = rows.at(-1);
    const first = row?.[0];
    const isBeside =
      first !== undefined && line.y - first.y < SAME_ROW * Math.min(first.height, line.height);
    if (isBeside) row?.push(line);
    else rows.push([line]);
  }
  return rows.map((row) => row.toSorted((a, b) => a.x - b.x).map(({ item }) => item));
}

/** Of the four quarters the one that most text runs to, and within it the mean. */
function meanDirection(rectangles: readonly Rectangle[]): { x: number; y: number } {
  const quarters = [0, 1, 2, 3].map(() => ({ x: 0, y: 0 }));
  for (const { along, width } of rectangles) {
    const quarter = quarters[Math.round(Math.atan2(along.y, along.x) / (Math.PI / 2)) & 3];
    if (quarter === undefined) continue;
    quarter.x += along.x * width;
    quarter.y += along.y * width;
  }
  const sums = quarters.map(({ x, y }) => ({ x, y, length: Math.hypot(x, y) }));
  const most = sums.reduce((a, b) => (b.length > a.length ? b : a));
  return most.length === 0 ? { x: 1, y: 0 } : { x: most.x / most.length, y: most.y / most.length };
}
