import { cornersOf, type Rectangle, turned } from "./geometry.ts";

/** What is this much higher than wide is text that runs up or down. */
const UPENDED = 1.5;

/** Cosine between two parts of a line: some 6 degrees, which short parts are off by. */
const PARALLEL = 0.994;

/** Shares of the lower part's height: how far their middles are apart at most, and how much higher the other is. */
const OFFSET = 0.35;
const HIGHER = 1.6;

/**
 * Lines from what the detector found: what runs up or down is turned to be read, and parts that overlap along
 * their line are one. The detector parts words that stand far apart, and what the edge of a square cuts.
 */
export function wholeLines(found: readonly Rectangle[]): Rectangle[] {
  const lines = found.map((one) => (one.height >= UPENDED * one.width ? turned(one, "left") : one));
  for (let at = 0; at < lines.length; at++) {
    for (let other = at + 1; other < lines.length; other++) {
      const [a, b] = [lines[at], lines[other]];
      const whole = a && b && together(a, b);
      if (whole === undefined) continue;
      lines.splice(other, 1);
      lines[at] = whole;
      // What was too far away before may touch the longer line.
      other = at;
    }
  }
  return lines;
}

/** Both as one, in the direction of the longer; undefined for two lines. */
function together(a: Rectangle, b: Rectangle): Rectangle | undefined {
  const [long, short] = a.width >= b.width ? [a, b] : [b, a];
  const { along, down, centre } = long;
  if (along.x * short.along.x + along.y * short.along.y < PARALLEL) return undefined;
  const lower = Math.min(a.height, b.height);
  if (Math.max(a.height, b.height) > HIGHER * lower) return undefined;
  const [dx, dy] = [short.centre.x - centre.x, short.centre.y - centre.y];
  if (Math.abs(dx * down.x + dy * down.y) > OFFSET * lower) return undefined;
  if (Math.abs(dx * along.x + dy * along.y) > (a.width + b.width) / 2) return undefined;

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
