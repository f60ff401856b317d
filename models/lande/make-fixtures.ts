import { readFile } from "node:fs/promises";
import path from "node:path";

import lande from "lande";

import { type Fixtures, toFixture } from "../../src/publish/source.ts";
import { frequencies, normalized } from "../../src/tasks/ngrams.ts";
import { build } from "./build.ts";
import { readAuthors } from "./authors.ts";

/** One of each script, neighbours that are easily taken for each other, and texts that are hardly any. */
const LANGUAGES = [
  "eng",
  "deu",
  "nob",
  "dan",
  "hrv",
  "srp",
  "ell",
  "ara",
  "heb",
  "hin",
  "cmn",
  "jpn",
];
const OTHERS = {
  "one letter": "q",
  "no letter of any n-gram": "ꙮ",
  "much of one": "a".repeat(500),
};

/** A sentence for each language, by its code. */
export async function readSentences(): Promise<Record<string, string>> {
  const file = path.join(import.meta.dirname, "samples/sentences.json");
  return JSON.parse(await readFile(file, "utf8")) as Record<string, string>;
}

/** What the authors' own package says. */
export async function makeFixtures(): Promise<Fixtures> {
  const sentences = await readSentences();
  const { labels } = await readAuthors();
  const { assets } = await build();
  const ngrams = JSON.parse(new TextDecoder().decode(assets["ngrams"])) as string[];
  const places = new Map(ngrams.map((ngram, index) => [ngram, index]));
  const texts = Object.entries({
    ...Object.fromEntries(LANGUAGES.map((code) => [code, sentences[code] ?? ""])),
    ...OTHERS,
  });
  return {
    source: "lande@1.0.10: the authors' own network, in toygrad.",
    cases: texts.map(([name, text]) => {
      const scores = new Map<string, number>(lande(text));
      return {
        name,
        inputs: {
          frequencies: toFixture({
            datatype: "FP32",
            shape: [1, ngrams.length],
            data: frequencies(normalized(text), places),
          }),
        },
        expected: {
          probabilities: toFixture({
            datatype: "FP32",
            shape: [1, labels.length],
            data: Float32Array.from(labels, (label) => scores.get(label) ?? Number.NaN),
          }),
        },
        tolerance: 1e-5,
      };
    }),
  };
}
