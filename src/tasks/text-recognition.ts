import { NearsideError } from "../errors.ts";
import {
  decodeImage,
  IMAGE_MEDIA_TYPES,
  imageInputs,
  pixelsOf,
  type RequestImages,
  type RgbaImage,
} from "./image/index.ts";
import type { TaskLimits } from "./limits.ts";
import { numberParameter } from "./parameters.ts";
import type { Task, TensorRun, Units } from "./task.ts";
import { parseCharacters } from "./text-recognition/ctc.ts";
import { detectText } from "./text-recognition/detect.ts";
import { cornersOf, type Rectangle } from "./text-recognition/geometry.ts";
import { onWhite } from "./text-recognition/page.ts";
import { readingOrder } from "./text-recognition/reading-order.ts";
import { columnsOf, type Reader, readLines } from "./text-recognition/recognise.ts";
import { upright } from "./text-recognition/upright.ts";
import { wholeLines } from "./text-recognition/whole-lines.ts";
import type { ImageCodecs } from "./tools.ts";

/** PaddleOCR's: lines that the recogniser is less sure of are left out. */
const MIN_SCORE = 0.5;

export interface RecognitionInput extends RequestImages {
  readonly minScore: number;
}

interface Resources {
  readonly characters: readonly string[];
  readonly codecs: ImageCodecs;
}

/** A line of text, in pixels of the upright picture. */
export interface RecognisedLine {
  readonly text: string;
  readonly score: number;
  /** Corners, clockwise, from the beginning of the text. */
  readonly box: readonly (readonly [number, number])[];
}

/**
 * What is written in pictures, in the shape of Hugging Face's `image-to-text` with the lines and their places
 * beside it: `[{generated_text, lines: [{text, score, box}]}]`; for an array of pictures an array of those.
 *
 * Graphs (PP-OCR), all of `pixels` UINT8 RGBA: `detector` [1, height, width, 4] -> `probability` FP32
 * [1, height, width]; `classifier` [lines, 48, 192, 4] -> `upright` FP32 [lines, 2]; `recogniser`
 * [lines, 48, width, 4] -> `character` INT32 and `score` FP32 [lines, steps]. Units: `items` and `pixels`, as sent,
 * and `lines`, as found.
 */
export const textRecognition: Task<"text-recognition", RecognitionInput, Resources> = {
  mediaTypes: IMAGE_MEDIA_TYPES,

  decode(request, { task }, { maxBatch }) {
    const minScore = numberParameter(request.parameters, "min_score", {
      fallback: MIN_SCORE,
      minimum: 0,
      maximum: 1,
    });
    return { ...imageInputs(request, { maxBatch, maxPixels: task.maxPixels }), minScore };
  },

  estimate: unitsOf,

  prepare: ({ characters = new Uint8Array() }, _manifest, { codecs }) => ({
    characters: parseCharacters(characters),
    codecs,
  }),

  *run({ characters, codecs }, input, { task }, limits) {
    const { placement } = limits;
    const reader: Reader = {
      pageSide: placement === "edge" ? task.pageSide : task.originPageSide,
      tileSide: placement === "edge" ? task.tileSide : task.originTileSide,
      // A pool answers each step with a round trip.
      linesPerRun: placement === "edge" ? 1 : 16,
      maxLineWidth: task.maxLineWidth,
      characters,
    };
    const outputs: unknown[] = [];
    const all: Rectangle[] = [];
    for (const image of input.images) {
      const page = onWhite(decodeImage(image, codecs));
      const found = wholeLines(page, yield* detectText(page, reader));
      all.push(...found);
      checkLines(all, limits, image.field);
      outputs.push(yield* readPage(page, found, reader, input.minScore));
    }
    const units = { ...unitsOf(input), lines: all.length };
    return { output: input.single ? outputs[0] : outputs, units };
  },
};

/** Before any of the page is read, which is what takes the time. */
function checkLines(
  lines: readonly Rectangle[],
  { lineColumns, placement }: TaskLimits,
  field: string,
): void {
  const columns = columnsOf(lines);
  if (columns <= lineColumns) return;
  const share = Math.ceil(columns / lineColumns);
  throw new NearsideError(
    "batch_too_large",
    `There are ${lines.length} lines of text here, ${share === 2 ? "more than" : `some ${share - 1} times`} what one ` +
      `request may have read. Send it in parts${placement === "edge" ? `, or to an origin pool ("nearside-placement: origin") if the model has one` : ""}.`,
    { field },
  );
}

function* readPage(
  page: RgbaImage,
  found: readonly Rectangle[],
  reader: Reader,
  minScore: number,
): TensorRun<unknown> {
  const rectangles = yield* upright(page, found, reader);
  const readings = yield* readLines(page, rectangles, reader);
  const lines = readings.filter(({ text, score }) => score >= minScore && text.trim() !== "");
  const rows = readingOrder(lines);
  const text = rows.map((row) => row.map((line) => line.text.trim()).join(" ")).join("\n");
  return [{ generated_text: text, lines: rows.flat().map(asLine) }];
}

function asLine(line: {
  readonly text: string;
  readonly score: number;
  readonly rectangle: Rectangle;
}): RecognisedLine {
  return {
    text: line.text.trim(),
    score: Number(line.score.toFixed(4)),
    box: cornersOf(line.rectangle).map(({ x, y }) => [rounded(x), rounded(y)] as const),
  };
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function unitsOf({ images }: RequestImages): Units {
  return { items: images.length, pixels: pixelsOf(images) };
}
