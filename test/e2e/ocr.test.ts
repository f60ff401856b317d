import { readFile } from "node:fs/promises";
import path from "node:path";

import { describe, expect, it } from "vitest";

import { ROOT } from "../../src/publish/workspace.ts";
import { served } from "./served.ts";

const FOLDER = path.join(ROOT, "models/ocr");

type Corner = readonly [number, number];

interface Line {
  readonly text: string;
  readonly box: readonly Corner[];
}

interface Answer {
  readonly generated_text: string;
  readonly lines: readonly (Line & { readonly score: number })[];
}

/** What make-samples.ts wrote on the pages. */
const PAGES = JSON.parse(await readFile(path.join(FOLDER, "samples/pages.json"), "utf8")) as {
  readonly file: string;
  readonly lines: readonly Line[];
}[];

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".jpg": "image/jpeg",
  ".png": "image/png",
  ".webp": "image/webp",
};

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

/** Reads pictures at the real edge, restored from the snapshots of its three members. */
describe("reading pages", () => {
  const stack = served();
  let errors = 0;
  let characters = 0;

  async function read(file: string): Promise<Response> {
    const body = Uint8Array.from(await readFile(path.join(FOLDER, "samples", file)));
    const type = MEDIA_TYPES[path.extname(file)] ?? "";
    return fetch(`${stack.edgeUrl}/v1/predict/ocr`, {
      method: "POST",
      headers: { "content-type": type },
      body,
    });
  }

  it.each(PAGES)("reads $file, and says where each line stands", async ({ file, lines }) => {
    const response = await read(file);
    expect(response.status).toBe(200);
    expect(response.headers.get("nearside-start")).toMatch(/^(?:restored|warm)$/);
    const [page] = (await response.json()) as [Answer];
    const text = textOf(lines);
    errors += edits(page.generated_text, text);
    characters += text.length;
    expect(edits(page.generated_text, text) / text.length).toBeLessThanOrEqual(0.03);
    for (const { text: words, box } of lines) {
      const found = page.lines.filter((line) => holds(box, middleOf(line.box)));
      // A line of words that stand far apart is found in parts.
      const least = words.includes("  ") ? 0.25 : 0.6;
      const boxes = found.map((line) => line.box);
      expect([words, intersectionOverUnion(boxes, box) > least]).toEqual([words, true]);
    }
  });

  it("errs in three characters of a hundred at most", () => {
    expect(characters).toBeGreaterThan(2000);
    expect(errors / characters).toBeLessThanOrEqual(0.03);
  });

  it("answers a client of Hugging Face in base64, and counts pixels", async () => {
    const file = await readFile(path.join(FOLDER, "samples/receipt.png"), "base64");
    const response = await fetch(`${stack.edgeUrl}/v1/predict/ocr`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        inputs: `data:image/png;base64,${file}`,
        parameters: { min_score: 0.9 },
      }),
    });
    const [page] = (await response.json()) as [Answer];
    expect(page.generated_text.split("\n")[0]).toBe("CORNER BAKERY");
    expect(page.lines.every(({ score }) => score >= 0.9)).toBe(true);
  });
});
