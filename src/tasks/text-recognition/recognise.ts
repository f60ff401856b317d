import type { RgbaImage } from "../image/index.ts";
import { output } from "../outputs.ts";
import type { TensorRun } from "../task.ts";
import { decodeCtc, joined, type Reading } from "./ctc.ts";
import type { Detection } from "./detect.ts";
import type { Rectangle } from "./geometry.ts";
import { cutOut, LINE_HEIGHT, lineWidth, stacked } from "./line.ts";
import { type Piece, piecesOf } from "./pieces.ts";

/** How lines are read. */
export interface Reader extends Detection {
  /** Lines of one run of the recogniser. */
  readonly linesPerRun: number;
  /** Wider lines are read in pieces. */
  readonly maxLineWidth: number;
  readonly characters: readonly string[];
}

/** Share of a line's height that is cut out around it: in letters as high as the picture spaces get lost. */
const MARGIN = 0.2;

/** Widths of recognised lines are multiples of this. */
const WIDTH_MULTIPLE = 32;

export interface ReadLine extends Reading {
  readonly rectangle: Rectangle;
}

interface PlacedPiece extends Piece {
  readonly of: number;
}

/** What is written in each rectangle, by the `recogniser`; long lines come in pieces. */
export function* readLines(
  page: RgbaImage,
  rectangles: readonly Rectangle[],
  reader: Reader,
): TensorRun<ReadLine[]> {
  const read = rectangles.map((): (Reading & Piece)[] => []);
  for (const pieces of inRuns(page, rectangles, reader)) {
    const widest = Math.max(...pieces.map(({ line }) => line.width));
    const width = Math.ceil(widest / WIDTH_MULTIPLE) * WIDTH_MULTIPLE;
    const shape = [pieces.length, LINE_HEIGHT, width, 4];
    const data = stacked(
      pieces.map(({ line }) => line),
      width,
    );
    const pixels = { datatype: "UINT8", shape, data } as const;
    const outputs = yield { member: "recogniser", feeds: { pixels } };
    const steps = outputs["character"]?.shape[1] ?? 0;
    const classes = output(outputs, "character", "INT32", pieces.length * steps);
    const scores = output(outputs, "score", "FP32", pieces.length * steps);
    for (const [index, piece] of pieces.entries()) {
      const [start, end] = [index * steps, (index + 1) * steps];
      const reading = decodeCtc(
        classes.subarray(start, end),
        scores.subarray(start, end),
        reader.characters,
      );
      read[piece.of]?.push({ ...piece, ...reading });
    }
  }
  return rectangles.map((rectangle, index) => ({ rectangle, ...joined(read[index] ?? []) }));
}

/** Lines of about the same width stand together, so that little is filled up; pieces of a line stay in order. */
function* inRuns(
  page: RgbaImage,
  rectangles: readonly Rectangle[],
  { linesPerRun, maxLineWidth }: Reader,
): Generator<readonly PlacedPiece[]> {
  const order = [...rectangles.keys()].toSorted(
    (a, b) => lineWidth(rectangles[a]!) - lineWidth(rectangles[b]!),
  );
  let waiting: PlacedPiece[] = [];
  for (const of of order) {
    const tight = rectangles[of];
    if (tight === undefined) continue;
    const more = MARGIN * tight.height;
    const rectangle = { ...tight, width: tight.width + more, height: tight.height + more };
    for (const piece of piecesOf(cutOut(page, rectangle), maxLineWidth)) {
      waiting.push({ ...piece, of });
      if (waiting.length < linesPerRun) continue;
      yield waiting;
      waiting = [];
    }
  }
  if (waiting.length > 0) yield waiting;
}
