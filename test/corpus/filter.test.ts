import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { MetadataValue } from "../../src/corpus/build.ts";
import { parseFilter } from "../../src/corpus/filter.ts";
import { corpusOf } from "../support/corpus.ts";

const ROWS = [
  { id: "a", lang: "en", year: 2019, draft: true },
  { id: "b", lang: "de", year: 2020, draft: false },
  { id: "c", lang: "en", year: 2021 },
  { id: "d", lang: "日本", year: -0, draft: false },
  { id: "e" },
].map(({ id, ...metadata }) => ({
  id,
  vector: [1, 0],
  metadata: metadata as Record<string, MetadataValue>,
}));

const docs = corpusOf(ROWS);

/** The ids of the rows for which a filter holds. */
function idsOf(filter: unknown, corpus = docs): string {
  const conditions = parseFilter(filter, corpus.manifest.columns, "filter");
  const query = Float32Array.of(1, 0);
  const [found] = corpus.load().search({ queries: [query], top: 100, conditions });
  return (found ?? []).map(({ id }) => id).join("");
}

describe("a filter", () => {
  it.each([
    [{}, "abcde"],
    [null, "abcde"],
    [{ lang: "en" }, "ac"],
    [{ lang: { eq: "日本" } }, "d"],
    [{ lang: "fr" }, ""],
    [{ lang: { in: ["de", "日本", "fr"] } }, "bd"],
    [{ lang: { in: [] } }, ""],
    [{ lang: { gt: "de", lte: "en" } }, "ac"],
    [{ year: 0 }, "d"],
    [{ year: { gte: 2020 } }, "bc"],
    [{ year: { gt: 2020 } }, "c"],
    [{ year: { gte: 2019, lt: 2021 } }, "ab"],
    [{ year: { lte: 2019.5 } }, "ad"],
    [{ draft: false }, "bd"],
    [{ draft: { in: [true, false] } }, "abd"],
    [{ lang: "en", year: { lt: 2020 }, draft: true }, "a"],
    // What has no value is not any value.
    [{ draft: { ne: true } }, "bcde"],
    [{ lang: { ne: "fr" } }, "abcde"],
  ])("%j holds for %j", (filter, ids) => {
    expect(idsOf(filter)).toBe(ids);
  });

  it.each([
    ["en", "filter", /must be an object/],
    [["en"], "filter", /must be an object/],
    [{ author: "x" }, "filter.author", /has draft, lang, year/],
    [{ year: "2020" }, "filter.year", /must be a number/],
    [{ lang: null }, "filter.lang", /must be a string/],
    [{ lang: ["en"] }, "filter.lang", /must be a string/],
    [{ lang: { in: "en" } }, "filter.lang.in", /must be an array/],
    [{ lang: { in: ["en", 1] } }, "filter.lang.in[1]", /must be a string/],
    [{ lang: { like: "e%" } }, "filter.lang.like", /is not one of eq, ne, in/],
    [{ lang: {} }, "filter.lang", /needs one of/],
    [{ draft: { gt: false } }, "filter.draft.gt", /have no order/],
    [{ lang: { in: Array(1001).fill("en") } }, "filter.lang.in", /at most 1000/],
  ])("%j is refused at %s", (filter, field, message) => {
    expect(() => parseFilter(filter, docs.manifest.columns, "filter")).toThrow(
      expect.objectContaining({
        code: "invalid_input",
        field,
        message: expect.stringMatching(message),
      }),
    );
  });

  it("names no columns where a corpus has none", () => {
    expect(() => parseFilter({ a: 1 }, [], "filter")).toThrow(/it has none/);
  });

  it("holds for the rows that a plain comparison holds for", () => {
    const value = fc.oneof(
      fc.integer({ min: -3, max: 3 }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    const operator = fc.constantFrom("eq", "ne", "gt", "gte", "lt", "lte");
    fc.assert(
      fc.property(
        fc.array(fc.option(value, { nil: undefined }), { minLength: 1, maxLength: 400 }),
        operator,
        value,
        (values, name, wanted) => {
          fc.pre(values.some((one) => one !== undefined));
          const corpus = corpusOf(
            values.map((n, row) => ({
              id: `${row},`,
              vector: [1, 0],
              ...(n !== undefined && { metadata: { n } }),
            })),
          );
          const holds = values.flatMap((n, row) => (compare(n, name, wanted) ? [`${row},`] : []));
          expect(idsOf({ n: { [name]: wanted } }, corpus)).toBe(holds.slice(0, 100).join(""));
        },
      ),
      { numRuns: 150 },
    );
  });
});

function compare(value: number | undefined, operator: string, wanted: number): boolean {
  if (value === undefined) return operator === "ne";
  switch (operator) {
    case "eq":
      return value === wanted;
    case "ne":
      return value !== wanted;
    case "gt":
      return value > wanted;
    case "gte":
      return value >= wanted;
    case "lt":
      return value < wanted;
    default:
      return value <= wanted;
  }
}
