import { readFile } from "node:fs/promises";
import path from "node:path";

import { ROOT } from "../../src/publish/workspace.ts";
import { ihdr, pngOfChunks } from "./pictures.ts";

/** What make-samples.mjs wrote, and what it says of it. */
export const SAMPLES = path.join(ROOT, "models/ocr/samples");

/** Of a hundred characters, those that may be read wrongly. */
export const MOST_ERRORS = 0.03;

type Corner = readonly [number, number];

interface Line {
  readonly text: string;
  readonly box: readonly Corner[];
}

/** A sample, and what is written on it. */
export interface Page {
  readonly file: string;
  readonly lines: readonly Line[];
}

/** A page that is harder to lay out than to read. */
export interface Layout {
  readonly file: string;
  /** As they are read, from the top. */
  readonly lines: readonly string[];
}

/** How a page was read. */
export interface PageReading {
  /** Characters to be replaced, added or taken away until its text is right. */
  readonly errors: number;
  readonly characters: number;
  readonly lines: number;
  /** The texts of lines that were not found where they stand. */
  readonly missed: readonly string[];
  readonly start: string | null;
}

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".jpg": "image/jpeg",
  ".png": "image/png",
  ".webp": "image/webp",
};

export async function readPages(): Promise<readonly Page[]> {
  return JSON.parse(await readFile(path.join(SAMPLES, "pages.json"), "utf8")) as Page[];
}

export async function readLayouts(): Promise<readonly Layout[]> {
  return JSON.parse(await readFile(path.join(SAMPLES, "layouts.json"), "utf8")) as Layout[];
}

const sample = async (file: string): Promise<Uint8Array<ArrayBuffer>> =>
  Uint8Array.from(await readFile(path.join(SAMPLES, file)));

/** Asks the model "ocr" of an edge. */
export function askOcr(
  edgeUrl: string,
  mediaType: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  return fetch(`${edgeUrl}/v1/predict/ocr`, {
    method: "POST",
    headers: { "content-type": mediaType },
    body,
  });
}

/** Lets an edge read a page, and compares. @throws Error with the answer's words unless it is 200 */
export async function measurePage(edgeUrl: string, { file, lines }: Page): Promise<PageReading> {
  const mediaType = MEDIA_TYPES[path.extname(file)] ?? "";
  const response = await askOcr(edgeUrl, mediaType, await sample(file));
  if (!response.ok) throw new Error(`${file}: ${response.status}: ${await response.text()}`);
  const [page] = (await response.json()) as [{ generated_text: string; lines: readonly Line[] }];
  const text = textOf(lines);
  return {
    errors: edits(page.generated_text, text),
    characters: text.length,
    lines: lines.length,
    missed: lines.filter((line) => !isFound(line, page.lines)).map((line) => line.text),
    start: response.headers.get("nearside-start"),
  };
}

/** Lets an edge read a page whose lines have no places. @throws Error as `measurePage` */
export async function measureLayout(edgeUrl: string, { file, lines }: Layout) {
  const mediaType = MEDIA_TYPES[path.extname(file)] ?? "";
  const response = await askOcr(edgeUrl, mediaType, await sample(file));
  if (!response.ok) throw new Error(`${file}: ${response.status}: ${await response.text()}`);
  const [{ generated_text: text }] = (await response.json()) as [{ generated_text: string }];
  const expected = lines.join("\n");
  return { text, errors: edits(text, expected), characters: expected.length };
}

/** Pictures that an edge must refuse, with the code of the refusal. */
export async function hostilePictures() {
  const letter = await sample("letter.jpg");
  const text = Uint8Array.from(Buffer.from("not a picture"));
  const bomb = pngOfChunks([
    ["IHDR", ihdr(60_000, 60_000)],
    ["IDAT", new Uint8Array(16)],
    ["IEND", new Uint8Array()],
  ]);
  return [
    ["half a JPEG", "image/jpeg", letter.slice(0, letter.length / 2), "unsupported_image"],
    ["a text that calls itself a JPEG", "image/jpeg", text, "unsupported_image"],
    ["a PNG of 3,600,000,000 pixels", "image/png", bomb, "image_too_large"],
  ] as const;
}

/** A line of words that stand far apart is found in parts. */
function isFound({ text, box }: Line, lines: readonly Line[]): boolean {
  const boxes = lines.map((line) => line.box).filter((one) => holds(box, middleOf(one)));
  return intersectionOverUnion(boxes, box) > (text.includes("  ") ? 0.25 : 0.6);
}

/** Levenshtein's distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [index, character] of [...a].entries()) {
    const next = [index + 1];
    for (let at = 1; at <= b.length; at++) {
      const replaced = (row[at - 1] ?? 0) + (character === b[at - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[at] ?? 0) + 1, (next[at - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** A page's text as somebody would type it: what stands far apart is a space apart. */
const textOf = (lines: readonly Line[]): string =>
  lines.map(({ text }) => text.replaceAll(/ +/g, " ")).join("\n");

/** Whether a point is within a convex polygon whose corners go clockwise. */
function holds(box: readonly Corner[], [x, y]: Corner): boolean {
  return box.every(([ax, ay], at) => {
    const [bx, by] = box[(at + 1) % box.length] ?? [ax, ay];
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0;
  });
}

const middleOf = (box: readonly Corner[]): Corner => [
  box.reduce((sum, [x]) => sum + x, 0) / box.length,
  box.reduce((sum, [, y]) => sum + y, 0) / box.length,
];

/** Of the areas of several boxes and of one, counted on a grid of points. */
function intersectionOverUnion(boxes: readonly (readonly Corner[])[], one: readonly Corner[]) {
  const corners = [...boxes.flat(), ...one];
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  let [shared, all] = [0, 0];
  for (let x = Math.min(...xs) + 1; x < Math.max(...xs); x += 2) {
    for (let y = Math.min(...ys) + 1; y < Math.max(...ys); y += 2) {
      const [a, b] = [boxes.some((box) => holds(box, [x, y])), holds(one, [x, y])];
      if (a && b) shared++;
      if (a || b) all++;
    }
  }
  return shared / all;
}
