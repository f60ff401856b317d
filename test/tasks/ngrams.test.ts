import path from "node:path";
import { pathToFileURL } from "node:url";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { packageFolder } from "../../src/publish/source.ts";
import { frequencies, hasLetters, normalized } from "../../src/tasks/ngrams.ts";

interface Authors {
  getNormalized(text: string): string;
  getNgrams(text: string, length: number): Record<string, { frequency: number }>;
}

const file = path.join(packageFolder("lande"), "standalone/utils.js");
const authors = (await import(pathToFileURL(file).href)) as Authors;

const someText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc
    .array(
      fc.constantFrom(
        "a",
        "B",
        "İ",
        "ß",
        "-",
        "--",
        " ",
        "\n",
        "\t\t",
        "é",
        "́",
        "1",
        "!",
        "日",
        "𝒜",
      ),
      {
        maxLength: 30,
      },
    )
    .map((units) => units.join("")),
);

describe("a normalized text", () => {
  it.each([
    ["Hello, World!", " hello world "],
    ["well-known -- and so", " well known and so "],
    ["  a\n\nb\tc  ", " a b\tc "],
    ["1234?", "  "],
    ["", "  "],
  ])("of %j is %j", (text, normal) => {
    expect(normalized(text)).toBe(normal);
    expect(hasLetters(normal)).toBe(normal.trim() !== "");
  });

  it("is what lande makes of it, whatever it is", () => {
    fc.assert(
      fc.property(someText, (text) => {
        expect(normalized(text)).toBe(authors.getNormalized(text));
      }),
      { numRuns: 500 },
    );
  });
});

describe("frequencies", () => {
  it("are those that lande counts, of every n-gram up to four units", () => {
    fc.assert(
      fc.property(someText, (text) => {
        const normal = normalized(text);
        const counted = [1, 2, 3, 4].map((length) => authors.getNgrams(normal, length));
        const expected = new Map(
          counted.flatMap((ngrams) =>
            Object.entries(ngrams).map(([ngram, one]) => [ngram, Math.fround(one.frequency)]),
          ),
        );
        const places = new Map([...expected.keys()].map((ngram, index) => [ngram, index]));
        expect([...frequencies(normal, places)]).toEqual([...expected.values()]);
      }),
      { numRuns: 300 },
    );
  });

  it("leave zero what is not there, and everything outside the row", () => {
    const places = new Map([
      ["ab", 0],
      ["q", 1],
    ]);
    const rows = Float32Array.of(7, 7, 0, 0, 7, 7);
    expect([...frequencies(" ab ", places, rows, 2)]).toEqual([7, 7, Math.fround(1 / 3), 0, 7, 7]);
  });
});
