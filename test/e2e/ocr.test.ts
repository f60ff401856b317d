import { readFile } from "node:fs/promises";
import path from "node:path";

import { describe, expect, it } from "vitest";

import {
  MOST_ERRORS,
  SAMPLES,
  askOcr,
  hostilePictures,
  measureLayout,
  measurePage,
  readLayouts,
  readPages,
} from "../support/pages.ts";
import { served } from "./served.ts";

const PAGES = await readPages();
const LAYOUTS = await readLayouts();
const HOSTILE = await hostilePictures();

/** Reads pictures at the real edge, restored from the snapshots of its three members. */
describe("reading pages", () => {
  const stack = served();
  let errors = 0;
  let characters = 0;

  it.each(PAGES)("reads $file, and says where each line stands", async (page) => {
    const read = await measurePage(stack.edgeUrl, page);
    errors += read.errors;
    characters += read.characters;
    expect(read.start).toMatch(/^(?:restored|warm)$/);
    expect(read.errors / read.characters).toBeLessThanOrEqual(MOST_ERRORS);
    expect(read.missed).toEqual([]);
  });

  it("errs in three characters of a hundred at most", () => {
    expect(characters).toBeGreaterThan(2000);
    expect(errors / characters).toBeLessThanOrEqual(MOST_ERRORS);
  });

  it.each(LAYOUTS)("lays out $file, whose words are small, turned or far apart", async (layout) => {
    const { text, errors: wrong, characters: all } = await measureLayout(stack.edgeUrl, layout);
    expect(text.split("\n")).toHaveLength(layout.lines.length);
    expect(wrong / all).toBeLessThanOrEqual(0.06);
  });

  it("makes no number of two cells", async () => {
    const table = LAYOUTS.find(({ file }) => file === "table.png")!;
    const { text } = await measureLayout(stack.edgeUrl, table);
    expect(text).toMatch(/1\.20 3\n.*0\.95 12$/);
  });

  it.each(HOSTILE)("refuses %s", async (_, mediaType, bytes, code) => {
    const response = await askOcr(stack.edgeUrl, mediaType, bytes);
    expect(await response.json()).toMatchObject({ code, field: "inputs" });
  });

  it("answers a client of Hugging Face in base64, and counts pixels", async () => {
    const file = await readFile(path.join(SAMPLES, "receipt.png"), "base64");
    const response = await fetch(`${stack.edgeUrl}/v1/predict/ocr`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        inputs: `data:image/png;base64,${file}`,
        parameters: { min_score: 0.9 },
      }),
    });
    const [page] = (await response.json()) as [
      { generated_text: string; lines: { score: number }[] },
    ];
    expect(page.generated_text.split("\n")[0]).toBe("CORNER BAKERY");
    expect(page.lines.every(({ score }) => score >= 0.9)).toBe(true);
  });
});
