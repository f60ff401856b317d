import type { RgbaImage } from "../image/index.ts";
import { output } from "../outputs.ts";
import type { TensorRun } from "../task.ts";
import { type Rectangle, turned } from "./geometry.ts";
import { cutOut, LINE_HEIGHT, lineWidth, stacked } from "./line.ts";

/** What the classifier sees of a line. */
const WIDTH = 192;
const VIEWS_PER_RUN = 8;

/** The longest lines are asked for all that run the same way: of one alone the classifier may be wrong. */
const ASKED_LINES = 8;

/** From this mean on, lines stand on their heads. */
const OVER_THRESHOLD = 0.6;

/** The same lines, turned so that their text stands upright: the `classifier` says which stand on their heads. */
export function* upright(
  page: RgbaImage,
  lines: readonly Rectangle[],
): TensorRun<readonly Rectangle[]> {
  const level = yield* areOver(page, lines.filter(isLevel));
  const upended = yield* areOver(
    page,
    lines.filter((line) => !isLevel(line)),
  );
  return lines.map((line) => ((isLevel(line) ? level : upended) ? turned(line, "over") : line));
}

function isLevel({ along }: Rectangle): boolean {
  return Math.abs(along.x) >= Math.abs(along.y);
}

function* areOver(page: RgbaImage, lines: readonly Rectangle[]): TensorRun<boolean> {
  const longest = lines.toSorted((a, b) => b.width - a.width).slice(0, ASKED_LINES);
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
  return sum > OVER_THRESHOLD * views.length;
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
