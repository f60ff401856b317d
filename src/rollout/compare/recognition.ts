import type { ShadowComparison } from "../comparison.ts";
import { compareBoxes } from "./boxes.ts";
import { isObject, itemsOf } from "./items.ts";
import { compareTexts } from "./text.ts";

/**
 * Compares what was read in images: `[{generated_text, lines: [{text, score, box}]}]`, or an array of those for
 * several. An image's distance is the larger of that of its text and that of its lines' places.
 */
export function compareRecognitions(a: unknown, b: unknown): ShadowComparison {
  const [pages, otherPages] = [pagesOf(a), pagesOf(b)];
  const texts = compareTexts(pages.map(textOf), otherPages.map(textOf));
  const boxes = compareBoxes(pages.map(linesOf), otherPages.map(linesOf));
  const distances = texts.distances.map((distance, at) =>
    Math.max(distance, boxes.distances[at] ?? 0),
  );
  return { ...texts, distances };
}

function pagesOf(output: unknown): readonly unknown[] {
  return itemsOf(output, ([first]) => !Array.isArray(first)).map((page) =>
    Array.isArray(page) && page.length === 1 ? (page as readonly unknown[])[0] : page,
  );
}

function textOf(page: unknown): unknown {
  return isObject(page) ? page["generated_text"] : page;
}

function linesOf(page: unknown): unknown {
  return isObject(page) ? page["lines"] : page;
}
