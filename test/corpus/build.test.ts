import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { CorpusBuilder, type CorpusRow } from "../../src/corpus/build.ts";
import { viewOf } from "../../src/corpus/view.ts";
import { corpusOf } from "../support/corpus.ts";

const row = (overrides: Partial<CorpusRow> = {}): CorpusRow => ({
  id: "a",
  vector: [1, 2],
  ...overrides,
});

/** What a corpus answers for all of its rows. */
function allOf(rows: readonly CorpusRow[], texts = false) {
  const query = Float32Array.of(1, 0);
  const search = { queries: [query], top: rows.length, conditions: [] };
  return corpusOf(rows, { texts }).load().search(search)[0];
}

describe("CorpusBuilder", () => {
  it("gives back ids, metadata and texts as they were", () => {
    const value = fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("日本語"));
    const rows = fc.uniqueArray(
      value.filter((id) => id !== "" && id.isWellFormed()),
      { minLength: 1, maxLength: 40 },
    );
    fc.assert(
      fc.property(rows, fc.func(fc.integer({ min: 0, max: 7 })), (ids, choose) => {
        const given = ids.map((id, at) => ({
          id,
          text: `${id}${id}`,
          vector: [1, 0],
          metadata: {
            ...(choose(id) & 1 ? { word: id } : {}),
            ...(choose(id) & 2 ? { number: at * 1.5 - 3 } : {}),
            ...(choose(id) & 4 ? { flag: at % 2 === 0 } : {}),
          },
        }));
        const found = allOf(given, true);
        expect(found).toEqual(
          given.map(({ id, text, metadata }) => ({
            id,
            score: expect.closeTo(1, 6),
            text,
            ...(Object.keys(metadata).length > 0 && { metadata }),
          })),
        );
      }),
      { numRuns: 60 },
    );
  });

  it.each([254, 255, 256, 65_535, 65_536])("tells %i values of a column apart", (count) => {
    const { load } = corpusOf(
      Array.from({ length: count }, (_, n) => ({ id: String(n), vector: [1], metadata: { n } })),
    );
    const columns = { column: 0, operator: "eq" } as const;
    const corpus = load();
    for (const n of [0, 253, count - 1]) {
      const conditions = [{ ...columns, values: [n] }];
      const [found] = corpus.search({ queries: [Float32Array.of(1)], top: 3, conditions });
      expect(found).toMatchObject([{ id: String(n), metadata: { n } }]);
    }
  });

  it("makes the same bytes of the same rows", () => {
    const rows = [row(), row({ id: "b", metadata: { z: 1, a: "x" } })];
    expect(corpusOf(rows).bytes).toEqual(corpusOf(rows).bytes);
  });

  it.each([
    [[row(), row()], 'the id "a" was there before'],
    [[row({ id: "" })], "the id is empty"],
    [[row({ id: "x".repeat(513) })], "longer than 512 bytes"],
    [[row({ vector: [1, 2, 3] })], "has 3 dimensions, and the model 2"],
    [[row({ vector: [1, Number.NaN] })], "element 1 of the vector is no number"],
    [[row({ vector: [Number.POSITIVE_INFINITY, 1] })], "element 0 of the vector is no number"],
    [[row({ vector: [0, -0] })], "the vector is zero"],
    [
      [row({ metadata: { n: 1 } }), row({ id: "b", metadata: { n: "1" } })],
      '"n" is a string here, and was a number before',
    ],
    [[row({ metadata: { n: Number.NaN } })], '"n" is no number'],
    [
      [row({ metadata: { n: [1] as unknown as number } })],
      '"n" must be a string, a number or a boolean',
    ],
  ])("refuses %j", (rows, message) => {
    const builder = new CorpusBuilder({ dimensions: 2, texts: false });
    expect(() => {
      for (const one of rows) builder.add(one);
    }).toThrow(message);
  });

  it("refuses more columns than a filter needs", () => {
    const builder = new CorpusBuilder({ dimensions: 2, texts: false });
    const metadata = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`c${n}`, n]));
    expect(() => builder.add(row({ metadata }))).toThrow("one column too many");
  });
});

describe("viewOf", () => {
  it.each([
    ["another beginning", 0, 1],
    ["another format", 8, 1],
    ["another length", 12, 5],
    ["rows of another length", 24, 64],
    ["more rows than there are", 16, 1_000_000],
    ["vectors that lie outside", 32, 0xffffff00],
    ["ids that lie outside", 44, 0xffffff00],
    ["columns that are not there", 28, 1_000_000],
  ])("refuses %s", (_, offset, word) => {
    const { bytes } = corpusOf([row({ metadata: { n: 1 } })]);
    new DataView(bytes.buffer).setUint32(offset, word, true);
    expect(() => viewOf(bytes.buffer, bytes.length)).toThrow(Error);
  });
});
