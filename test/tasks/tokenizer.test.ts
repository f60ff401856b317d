import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import minilm from "../../models/minilm/model.json";
import samples from "../../models/minilm/samples/tokens.json";
import { TextTokenizer, type TokenIds } from "../../src/tasks/tokenizer.ts";
import { minilmTokenizer, tokenizerAsset } from "./minilm-tokenizer.ts";

const CLS = 101;
const SEP = 102;
const UNKNOWN = 100;
/** More than any text here has, so that it is tokenized in one go. */
const UNLIMITED = 1_000_000;

const ours = new TextTokenizer(tokenizerAsset(minilmTokenizer));
const library = new Tokenizer(minilmTokenizer, {});

function cutTo(maxTokens: number, whole: readonly number[]): TokenIds {
  const content = whole.slice(1, -1);
  const room = Math.max(0, maxTokens - 2);
  return { ids: [CLS, ...content.slice(0, room), SEP], cut: content.length > room };
}

/** What normalization, splitting and WordPiece each treat in their own way. */
const LETTERS = ["a", "b", "É", "e\u0301", "ς", "σ", "İ", "ß", "Å", "ﬁ", "ing", "the", "embedding"];
const MARKS = [
  "\u0301",
  "\u0323",
  "\u0345",
  "\u3099",
  "\u200d",
  "\u00ad",
  "\ufffd",
  "\0",
  "\ufeff",
];
const SPACES = [" ", "\t", "\n", "\r", "\v", "\u00a0", "\u2028", "\u3000"];
const BREAKS = [",", ";", "中", "文", "\u3400", "\u9fff", "\uf900", "が", "한"];
const OTHERS = [
  ".",
  "'",
  "·",
  ":",
  "’",
  "[CLS]",
  "[UNK]",
  "[",
  "]",
  "##a",
  "😀",
  "\ud83d",
  "\ude00",
];
const WORDS = ["x".repeat(100), "x".repeat(101), "😀".repeat(51), "😀".repeat(101)];
/** Where the library differs from the models' own tokenizers. */
const MENDED = ["Σ", "Σ", "\u{20000}", "\u{2f800}"];

function textOf(...moreUnits: string[]): fc.Arbitrary<string> {
  const unit = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...LETTERS, ...moreUnits) },
    { weight: 4, arbitrary: fc.constantFrom(...MARKS) },
    { weight: 3, arbitrary: fc.constantFrom(...SPACES) },
    { weight: 3, arbitrary: fc.constantFrom(...BREAKS) },
    { weight: 3, arbitrary: fc.constantFrom(...OTHERS) },
    { weight: 1, arbitrary: fc.constantFrom(...WORDS) },
    { weight: 1, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 4 }) },
  );
  return fc.array(unit, { maxLength: 200, size: "max" }).map((units) => units.join(""));
}

describe("TextTokenizer", () => {
  it("makes the ids that sentence-transformers makes of every sample", () => {
    expect(samples.length).toBeGreaterThan(50);
    const { maxTokens } = minilm.task;
    expect(samples.map(({ text }) => ({ text, ids: ours.encode(text, maxTokens).ids }))).toEqual(
      samples,
    );
  });

  it("makes the same ids of a sample in pieces, and cuts them", () => {
    for (const { text, ids } of samples) {
      for (const maxTokens of [0, 2, 3, 5, 8, ids.length - 1, ids.length]) {
        expect(ours.encode(text, maxTokens)).toEqual(cutTo(maxTokens, ids));
      }
    }
  });

  // Expected ids: the tokenizers package of Python, 0.23.3, with the same file.
  it.each([
    [
      "capital sigmas at the end of words",
      "ΟΔΥΣΣΕΥΣ, ΑΣ; Σ",
      [1169, 29722, 29735, 29733, 29733, 29723, 29735, 29733, 1010, 1155, 29733, 1025, 1173],
    ],
    ["a small final sigma", "ας", [1155, 19579]],
    ["ideographs of two UTF-16 units", "\u{20000}\u{20001}", [100, 100]],
    ["one within a word", "a\u{20000}b", [1037, 100, 1038]],
    ["letters that lower-case to several", "İstanbul STRAßE", [9960, 2358, 27807]],
  ])("makes the ids of the models' own tokenizers of %s", (_, text, content) => {
    expect(ours.encode(text, 256).ids).toEqual([CLS, ...content, SEP]);
  });

  it("makes of any text what the library makes of it, for all its own WordPiece", () => {
    fc.assert(
      fc.property(textOf(), (text) => {
        expect(ours.encode(text, UNLIMITED).ids).toEqual(library.encode(text).ids);
      }),
      { numRuns: 300 },
    );
  });

  it("makes of a long text in pieces what it makes of it in one go", () => {
    fc.assert(
      fc.property(textOf(...MENDED), fc.integer({ min: 0, max: 24 }), (text, maxTokens) => {
        const { ids } = ours.encode(text, UNLIMITED);
        expect(ours.encode(text, maxTokens)).toEqual(cutTo(maxTokens, ids));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ["no boundary at all", "embedding".repeat(500)],
    ["boundaries only", " ,;\t\n".repeat(1_000)],
    ["marks after each boundary", "a, \u0301;\u0323".repeat(500)],
    ["ideographs", "今日中文㐀".repeat(400)],
    ["special tokens", "[CLS][SEP] [MASK], [PAD]".repeat(200)],
  ])("cuts what the library makes of %s", (_, text) => {
    const { ids } = library.encode(text);
    for (const maxTokens of [3, 16, 256, UNLIMITED]) {
      expect(ours.encode(text, maxTokens)).toEqual(cutTo(maxTokens, ids));
    }
  });

  it("keeps as many tokens as the model takes of the longest text", () => {
    const { ids, cut } = ours.encode("the quick brown fox ".repeat(3_276), 256);
    expect(ids).toHaveLength(256);
    expect([ids[0], ids[255], cut]).toEqual([CLS, SEP, true]);
  });

  it("says of a text of exactly the limit that it is not cut", () => {
    expect(ours.encode("a ".repeat(14), 16)).toMatchObject({ cut: false });
    expect(ours.encode("a ".repeat(15), 16)).toMatchObject({ cut: true });
    expect(ours.encode("", 2)).toEqual({ ids: [CLS, SEP], cut: false });
  });

  it("knows no word of more than a hundred characters, surrogate pairs counted once", () => {
    expect(ours.encode("x".repeat(101), 256).ids).toEqual([CLS, UNKNOWN, SEP]);
    expect(ours.encode("x".repeat(100), 256).ids.length).toBeGreaterThan(3);
    for (const word of ["𐌰".repeat(100), "𐌰".repeat(101)]) {
      expect(ours.encode(word, 256).ids).toEqual(library.encode(word).ids);
    }
  });

  it("takes of the file's own padding its id only", () => {
    const padded = { ...minilmTokenizer, padding: { pad_id: 7, strategy: { Fixed: 128 } } };
    const tokenizer = new TextTokenizer(tokenizerAsset(padded));
    expect([ours.padId, tokenizer.padId]).toEqual([0, 7]);
    expect(tokenizer.encode("a", 256).ids).toHaveLength(3);
  });

  it("does not tear an added token that spans a boundary", () => {
    const newYork = {
      id: 30_522,
      content: "new york",
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: false,
    };
    const added = { ...minilmTokenizer, added_tokens: [...minilmTokenizer.added_tokens, newYork] };
    const tokenizer = new TextTokenizer(tokenizerAsset(added));
    const text = "in new york ".repeat(100);
    const { ids } = new Tokenizer(added, {}).encode(text);
    expect(ids).toContain(newYork.id);
    for (const maxTokens of [3, 4, 5, 6, 7, 50]) {
      expect(tokenizer.encode(text, maxTokens)).toEqual(cutTo(maxTokens, ids));
    }
  });
});
