import type { RgbaImage } from "../image/index.ts";
import { output } from "../outputs.ts";
import type { TensorRun } from "../task.ts";
import { type Rectangle, turned } from "./geometry.ts";
import { cutOut, LINE_HEIGHT, lineWidth, stacked } from "./line.ts";
import { type Reader, readLines } from "./recognise.ts";

/** What the classifier sees of a line. */
const WIDTH = 192;
const VIEWS_PER_RUN = 8;

/** The longest lines are asked for all that run the same way: of one alone the classifier may be wrong. */
const ASKED_LINES = 8;

/**
 * The classifier's mean is below the first for text that stands upright, and above the second for text on its head
 * (measured: 0.07 and 0.99). Of short words it knows little (0.81 for some that stand upright).
 */
const SURELY_UPRIGHT = 0.1;
const SURELY_OVER = 0.9;

/** Mean width of views below which the classifier is not to be believed. */
const SHORT = 96;

/** So many views are read both ways where the classifier is in doubt. */
const READ_VIEWS = 4;

/** How much surer the recogniser is of text that it reads the right way (measured: 0.3 and more). */
const SURER = 0.1;

/**
 * The same lines, turned so that their text stands upright: the `classifier` says which stand on their heads, and
 * where it is in doubt, what the `recogniser` reads better.
 */
export function* upright(
  page: RgbaImage,
  lines: readonly Rectangle[],
  reader: Reader,
): TensorRun<readonly Rectangle[]> {
  const level = yield* areOver(page, lines.filter(isLevel), reader);
  const upended = yield* areOver(
    page,
    lines.filter((line) => !isLevel(line)),
    reader,
  );
  return lines.map((line) => ((isLevel(line) ? level : upended) ? turned(line, "over") : line));
}

function isLevel({ along }: Rectangle): boolean {
  return Math.abs(along.x) >= Math.abs(along.y);
}

function* areOver(
  page: RgbaImage,
  lines: readonly Rectangle[],
  reader: Reader,
): TensorRun<boolean> {
  if (lines.length === 0) return false;
  const longest = lines.toSorted((a, b) => lineWidth(b) - lineWidth(a)).slice(0, ASKED_LINES);
  const views = longest.flatMap(viewsOf);
  let sum = 0;
  for (let start = 0; start < views.length; start += VIEWS_PER_RUN) {
    const group = views.slice(start, start + VIEWS_PER_RUN);
    const shape = [group.length, LINE_HEIGHT, WIDTH, 4];
    const data = stacked(
      group.map((view) => cutOut(page, view, Math.min(WIDTH, lineWidth(view)))),
      WIDTH,
    );
    const pixels = { datatype: "UINT8", shape, data } as const;
    const outputs = yield { member: "classifier", feeds: { pixels } };
    const chances = output(outputs, "upright", "FP32", 2 * group.length);
    for (const index of group.keys()) sum += chances[2 * index + 1] ?? 0;
  }
  const mean = sum / views.length;
  const isShort = meanOf(views.map(lineWidth)) < SHORT;
  if (!isShort && mean < SURELY_UPRIGHT) return false;
  if (!isShort && mean > SURELY_OVER) return true;
  return yield* readBetterOver(page, views.slice(0, READ_VIEWS), reader);
}

function* readBetterOver(
  page: RgbaImage,
  views: readonly Rectangle[],
  reader: Reader,
): TensorRun<boolean> {
  const asTheyAre = yield* readLines(page, views, reader);
  const over = yield* readLines(
    page,
    views.map((view) => turned(view, "over")),
    reader,
  );
  const [one, other] = [asTheyAre, over].map((lines) => meanOf(lines.map(({ score }) => score)));
  return (other ?? 0) > (one ?? 0) + SURER;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Both ends of a long line: squeezed into the classifier's width, it is no text any more. */
function viewsOf(line: Rectangle): Rectangle[] {
  const width = (WIDTH * line.height) / LINE_HEIGHT;
  if (line.width <= width) return [line];
  const { centre, along } = line;
  const end = (side: number): Rectangle => {
    const shift = (side * (line.width - width)) / 2;
    return {
      ...line,
      centre: { x: centre.x + shift * along.x, y: centre.y + shift * along.y },
      width,
    };
  };
  return [end(-1), end(1)];
}
