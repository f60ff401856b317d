export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A rectangle at any angle: its text runs along `along`, and its lines would follow each other along `down`. */
export interface Rectangle {
  readonly centre: Point;
  /** Unit vectors, at right angles. */
  readonly along: Point;
  readonly down: Point;
  readonly width: number;
  readonly height: number;
}

/** Corners from the beginning of the text, clockwise as it is read. */
export function cornersOf({ centre, along, down, width, height }: Rectangle): Point[] {
  const corner = (right: number, low: number): Point => ({
    x: centre.x + (along.x * right * width + down.x * low * height) / 2,
    y: centre.y + (along.y * right * width + down.y * low * height) / 2,
  });
  return [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
}

/** The same rectangle, read a quarter turn or half a turn further. */
export function turned(rectangle: Rectangle, turn: "left" | "over"): Rectangle {
  const { centre, along, down, width, height } = rectangle;
  if (turn === "over") {
    return { centre, along: negative(along), down: negative(down), width, height };
  }
  return { centre, along: down, down: negative(along), width: height, height: width };
}

function negative({ x, y }: Point): Point {
  return { x: -x, y: -y };
}

/**
 * The rectangle of least area around points, lying so that its text runs to the right. One of its sides lies
 * on a side of the convex hull.
 */
export function leastRectangle(points: readonly Point[]): Rectangle {
  const hull = convexHull(points);
  let best: Rectangle | undefined;
  for (const [at, one] of hull.entries()) {
    const other = hull[(at + 1) % hull.length] ?? one;
    const length = Math.hypot(other.x - one.x, other.y - one.y);
    if (length === 0) continue;
    const axis = { x: (other.x - one.x) / length, y: (other.y - one.y) / length };
    const rectangle = around(hull, axis);
    if (best === undefined || area(rectangle) < area(best)) best = rectangle;
  }
  return best ?? around(hull, { x: 1, y: 0 });
}

function area({ width, height }: Rectangle): number {
  return width * height;
}

function around(points: readonly Point[], axis: Point): Rectangle {
  // Of the four directions of the sides, the one that leads most to the right.
  let along = Math.abs(axis.x) >= Math.abs(axis.y) ? axis : { x: -axis.y, y: axis.x };
  if (along.x < 0) along = negative(along);
  const down = { x: -along.y, y: along.x };
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of points) {
    const [a, d] = [x * along.x + y * along.y, x * down.x + y * down.y];
    left = Math.min(left, a);
    right = Math.max(right, a);
    top = Math.min(top, d);
    bottom = Math.max(bottom, d);
  }
  const [a, d] = [(left + right) / 2, (top + bottom) / 2];
  const centre = { x: a * along.x + d * down.x, y: a * along.y + d * down.y };
  return { centre, along, down, width: right - left, height: bottom - top };
}

/** Andrew's monotone chain. */
function convexHull(points: readonly Point[]): Point[] {
  const sorted = points.toSorted((a, b) => a.x - b.x || a.y - b.y);
  if (sorted.length < 3) return sorted;
  const half = (ordered: readonly Point[]): Point[] => {
    const chain: Point[] = [];
    for (const point of ordered) {
      while (chain.length >= 2 && !turnsLeft(chain.at(-2), chain.at(-1), point)) chain.pop();
      chain.push(point);
    }
    chain.pop();
    return chain;
  };
  return [...half(sorted), ...half(sorted.toReversed())];
}

function turnsLeft(a: Point | undefined, b: Point | undefined, c: Point): boolean {
  if (a === undefined || b === undefined) return true;
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x) > 0;
}
