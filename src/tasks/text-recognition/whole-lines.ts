import type { RgbaImage } from "../image/index.ts";
import { cornersOf, type Rectangle, turned } from "./geometry.ts";
import { cutOut, MARGIN } from "./line.ts";
import { spaceInTheMiddle } from "./pieces.ts";

/** What is this much higher than wide is text that runs up or down. */
const UPENDED = 1.5;

/** Cosine between two parts of a line: some 6 degrees, which short parts are off by. */
const PARALLEL = 0.994;

/** Shares of the lower part's height: how far their middles are apart at most, and how much higher the other is. */
const OFFSET = 0.35;
const HIGHER = 1.6;

/** How much of a line around a joint is looked at, in heights: its middle third, and letters to compare it with. */
const JOINT = 2.4;

/**
 * Lines from what the detector found: what runs up or down is turned to be read, and parts that overlap along
 * their line are one, as where the edge of a square has cut a word. Boxes are wider than their text, so cells of a
 * table overlap, too: what a space parts stays two, and neither holds a letter of the other.
 */
export function wholeLines(page: RgbaImage, found: readonly Rectangle[]): Rectangle[] {
  const lines = found.map((one) => (one.height >= UPENDED * one.width ? turned(one, "left") : one));
  for (let at = 0; at < lines.length; at++) {
    for (let other = at + 1; other < lines.length; other++) {
      const [a, b] = [lines[at], lines[other]];
      const touching = a && b && joint(a, b);
      if (touching === undefined) continue;
      const space = spaceAt(page, touching);
      if (space !== undefined) {
        [lines[at], lines[other]] = parted(touching, space);
        continue;
      }
      if (touching.gap > 0) continue;
      lines.splice(other, 1);
      lines[at] = together(touching);
      // What was too far away before may touch the longer line.
      other = at;
    }
  }
  return lines;
}

/** Two parts of a line whose letters may reach into each other's rectangles. */
interface Joint {
  readonly a: Rectangle;
  readonly b: Rectangle;
  /** The longer, whose direction counts. */
  readonly long: Rectangle;
  /** Whether `b` stands behind `a`. */
  readonly isOrdered: boolean;
  /** Between the two, along the line; below 0 where they overlap. */
  readonly gap: number;
  /** The middle between them, from the middle of the longer; undefined where the shorter lies within. */
  readonly middle: number | undefined;
}

/** undefined for two lines. */
function joint(a: Rectangle, b: Rectangle): Joint | undefined {
  const [long, short] = a.width >= b.width ? [a, b] : [b, a];
  const { along, down, centre } = long;
  if (along.x * short.along.x + along.y * short.along.y < PARALLEL) return undefined;
  const lower = Math.min(a.height, b.height);
  if (Math.max(a.height, b.height) > HIGHER * lower) return undefined;
  const [dx, dy] = [short.centre.x - centre.x, short.centre.y - centre.y];
  if (Math.abs(dx * down.x + dy * down.y) > OFFSET * lower) return undefined;
  const shift = dx * along.x + dy * along.y;
  const gap = Math.abs(shift) - (a.width + b.width) / 2;
  if (gap > MARGIN * lower) return undefined;
  const isWithin = Math.abs(shift) < (long.width - short.width) / 2;
  const middle = isWithin ? undefined : Math.sign(shift) * ((long.width + gap) / 2);
  return { a, b, long, isOrdered: shift > 0 === (long === a), gap, middle };
}

/** Where between two parts a space is to be seen, from the middle of the longer. */
function spaceAt(page: RgbaImage, { long, middle }: Joint): number | undefined {
  if (middle === undefined) return undefined;
  const { along, centre, height } = long;
  const width = JOINT * height;
  const around = { x: centre.x + middle * along.x, y: centre.y + middle * along.y };
  const space = spaceInTheMiddle(cutOut(page, { ...long, centre: around, width }));
  return space === undefined ? undefined : middle + (space - 0.5) * width;
}

/** Both, ending so far from the space that they don't reach beyond it with their margins. */
function parted({ a, b, long, isOrdered }: Joint, space: number): [Rectangle, Rectangle] {
  const cut = (part: Rectangle, side: 1 | -1): Rectangle => {
    const { along, centre, width, height } = part;
    const [dx, dy] = [centre.x - long.centre.x, centre.y - long.centre.y];
    const at = dx * long.along.x + dy * long.along.y;
    const beyond = side * (at - space) + (width + MARGIN * height) / 2;
    if (beyond <= 0 || beyond >= width) return part;
    const back = (side * beyond) / 2;
    const shifted = { x: centre.x - back * along.x, y: centre.y - back * along.y };
    return { ...part, centre: shifted, width: width - beyond };
  };
  return isOrdered ? [cut(a, 1), cut(b, -1)] : [cut(a, -1), cut(b, 1)];
}

/** Both as one, in the direction of the longer. */
function together({ a, b, long: { along, down, centre } }: Joint): Rectangle {
  const corners = [...cornersOf(a), ...cornersOf(b)];
  const spans = [along, down].map((axis) => {
    const places = corners.map(({ x, y }) => (x - centre.x) * axis.x + (y - centre.y) * axis.y);
    return { start: Math.min(...places), end: Math.max(...places) };
  });
  const [across = { start: 0, end: 0 }, high = across] = spans;
  const [right, low] = [(across.start + across.end) / 2, (high.start + high.end) / 2];
  return {
    along,
    down,
    centre: {
      x: centre.x + right * along.x + low * down.x,
      y: centre.y + right * along.y + low * down.y,
    },
    width: across.end - across.start,
    height: high.end - high.start,
  };
}
