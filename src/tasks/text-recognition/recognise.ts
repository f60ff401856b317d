import type { RgbaImage } from "../image/index.ts";
import { output } from "../outputs.ts";
import type { TensorRun } from "../task.ts";
import { decodeCtc, joined, type Reading } from "./ctc.ts";
import type { Detection } from "./detect.ts";
import type { Rectangle } from "./geometry.ts";
import { cutOut, LINE_HEIGHT, lineWidth, MARGIN, stacked } from "./line.ts";
import { gapsOf, type Piece, piecesOf } from "./pieces.ts";

/** How lines are read. */
export interface Reader extends Detection {
  /** Lines of one run of the recogniser. */
  readonly linesPerRun: number;
  /** Wider lines are read in pieces. */
  readonly maxLineWidth: number;
  readonly characters: readonly string[];
}

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
    const width = filledUp(Math.max(...pieces.map(({ line }) => line.width)));
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
      const isParted = gapsOf(piece.line);
      const reading = decodeCtc(
        classes.subarray(start, end),
        scores.subarray(start, end),
        reader.characters,
        (from, to) => isParted((from * width) / steps, (to * width) / steps),
      );
      read[piece.of]?.push({ ...piece, ...reading });
    }
  }
  return rectangles.map((rectangle, index) => ({ rectangle, ...joined(read[index] ?? []) }));
}

/** Columns of 48 pixels that the recogniser will be fed for these lines. */
export function columnsOf(rectangles: readonly Rectangle[]): number {
  return rectangles.reduce((sum, tight) => sum + filledUp(lineWidth(withMargin(tight))), 0);
}

function withMargin(tight: Rectangle): Rectangle {
  const more = MARGIN * tight.height;
  return { ...tight, width: tight.width + more, height: tight.height + more };
}

function filledUp(width: number): number {
  return Math.ceil(width / WIDTH_MULTIPLE) * WIDTH_MULTIPLE;
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
    for (const piece of piecesOf(cutOut(page, withMargin(tight)), maxLineWidth)) {
      waiting.push({ ...piece, of });
      if (waiting.length < linesPerRun) continue;
      yield waiting;
      waiting = [];
    }
  }
  if (waiting.length > 0) yield waiting;
}
