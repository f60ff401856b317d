import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { CorpusBuilder } from "../../src/corpus/build.ts";
import { scanQuery } from "../../src/corpus/exact.ts";
import { CHUNK_ROWS, rowBytesOf } from "../../src/corpus/format.ts";
import { scannerOf } from "../support/corpus.ts";
import { bruteForce, clustered, seeded } from "../support/vectors.ts";

/** Elements of very different sizes, many of them zero, many the same. */
const element = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0, 1, -1, 0.5, -0.25) },
  { weight: 2, arbitrary: fc.double({ min: -1, max: 1, noNaN: true }).map(Math.fround) },
  { weight: 1, arbitrary: fc.constantFrom(1e-38, -1e-38, 3e38, 1e-3, 127 / 128) },
);

const corpus = fc
  .record({ dimensions: fc.integer({ min: 1, max: 70 }), count: fc.integer({ min: 1, max: 150 }) })
  .chain(({ dimensions, count }) => {
    const vector = fc.array(element, { minLength: dimensions, maxLength: dimensions });
    const row = vector.filter((elements) => elements.some((one) => one !== 0));
    return fc.record({
      rows: fc.array(row, { minLength: count, maxLength: count }),
      // A few rows again and again: what is equal is found in the order of rows.
      repeats: fc.integer({ min: 1, max: 12 }),
      queries: fc.array(vector, { minLength: 1, maxLength: 4 }),
      top: fc.integer({ min: 1, max: 200 }),
    });
  });

describe("Scanner", () => {
  it("finds what brute force finds, whatever the vectors and the queries are", () => {
    fc.assert(
      fc.property(corpus, ({ rows, repeats, queries, top }) => {
        const vectors = Array.from(
          { length: rows.length * repeats },
          (_, row) => rows[row % rows.length] ?? [],
        );
        const floats = queries.map((query) => Float32Array.from(query));
        const found = scannerOf(vectors).search(floats, top);
        expect(found).toEqual(floats.map((query) => bruteForce(vectors, query, top)));
      }),
      { numRuns: 150 },
    );
  });

  it("finds what brute force finds among some of the rows", () => {
    fc.assert(
      fc.property(corpus, fc.integer(), ({ rows, queries, top }, seed) => {
        const random = seeded(seed);
        const chosen = rows.flatMap((_, row) => (random() < 0.4 ? [row] : []));
        const floats = queries.map((query) => Float32Array.from(query));
        const found = scannerOf(rows).search(floats, top, Uint32Array.from(chosen));
        const isChosen = (row: number): boolean => chosen.includes(row);
        expect(found).toEqual(floats.map((query) => bruteForce(rows, query, top, isChosen)));
      }),
      { numRuns: 100 },
    );
  });

  it("finds what brute force finds among copies of a few rows, all of them and some", () => {
    fc.assert(
      fc.property(
        corpus,
        fc.array(fc.nat({ max: 9 }), { minLength: 200, maxLength: 2500 }),
        fc.integer(),
        ({ rows, queries, top }, picks, seed) => {
          const vectors = picks.map((pick) => rows[pick % rows.length] ?? []);
          const floats = queries.map((query) => Float32Array.from(query));
          const scanner = scannerOf(vectors);
          const random = seeded(seed);
          const chosen = new Set(vectors.keys().filter(() => random() < 0.3));
          expect(scanner.search(floats, top)).toEqual(
            floats.map((query) => bruteForce(vectors, query, top)),
          );
          expect(scanner.search(floats, top, Uint32Array.from(chosen))).toEqual(
            floats.map((query) => bruteForce(vectors, query, top, (row) => chosen.has(row))),
          );
        },
      ),
      { numRuns: 25 },
    );
  });

  it("computes copies once for a query, so that none are too many", () => {
    const [text, other] = clustered(2, 384);
    const queries = Array<Float32Array>(64).fill(text ?? new Float32Array());
    const copies = Array.from({ length: 8000 }, (_, row) => (row === 5000 ? other : text) ?? []);
    const scanner = scannerOf(copies);
    expect(scanner.search(queries, 3)[63]?.map(({ row }) => row)).toEqual([0, 1, 2]);
    expect(scanner.search(queries, 3, Uint32Array.of(4000, 5000, 7000))[0]).toHaveLength(3);
  });

  it("refuses several queries that only exact scores could tell apart, and takes one", () => {
    const random = seeded(5);
    // Where the rows differ, the query is zero.
    const vectors = Array.from({ length: 7000 }, () =>
      Array.from({ length: 384 }, (_, at) => (at < 320 || random() < 0.5 ? 1 : -1)),
    );
    const query = Float32Array.from({ length: 384 }, (_, at) => (at < 320 ? 1 : 0));
    const scanner = scannerOf(vectors);
    expect(() => scanner.search(Array<Float32Array>(64).fill(query), 10)).toThrow(
      expect.objectContaining({ code: "batch_too_large", field: "parameters.corpus" }),
    );
    expect(scanner.search([query], 10)[0]).toHaveLength(10);
  });

  it.each([1, 4, 63, 64, 65, 64 + CHUNK_ROWS, 65 + CHUNK_ROWS, 3001])(
    "leaves none of %i rows out",
    (count) => {
      const vectors = clustered(count, 33);
      const query = clustered(1, 33, { random: seeded(7) })[0] ?? new Float32Array();
      const scanner = scannerOf(vectors);
      expect(scanner.search([query], 100)[0]).toEqual(bruteForce(vectors, query, 100));
      expect(scanner.search([query], count)[0]).toHaveLength(count);
    },
  );

  it("keeps its sums in 32 bits at the most dimensions there can be", () => {
    const dimensions = 4096;
    const ones = Array<number>(dimensions).fill(1);
    const vectors = [ones, ones.map((one) => -one), ones.map((one, at) => (at % 2 ? one : -one))];
    const query = Float32Array.from(ones);
    expect(scannerOf(vectors).search([query], 3)[0]).toEqual(bruteForce(vectors, query, 3));
    expect(scannerOf(vectors).search([query], 1)[0]?.[0]?.score).toBeCloseTo(64, 3);
  });

  it("is never further off in its integers than it says", () => {
    const vector = fc.array(element, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(vector, vector, (one, other) => {
        const query = Float32Array.from(one);
        const row = query.map((_, at) => other[at] ?? 0);
        if (row.every((value) => value === 0)) return;
        const { integers, step, error } = scanQuery(query, rowBytesOf(query.length));
        const [exact] = bruteForce([row], query, 1);
        const [rounded] = bruteForce([row], integers.slice(0, query.length), 1);
        const scanned = Math.fround(rounded?.score ?? 0) * step;
        expect(Math.abs(scanned - (exact?.score ?? 0))).toBeLessThanOrEqual(error);
      }),
    );
  });

  it("finds most of the ten that the unrounded vectors have", () => {
    const vectors = clustered(5000, 384, { clusters: 50 });
    const scanner = scannerOf(vectors);
    const lengths = vectors.map((vector) => Math.hypot(...vector));
    let recalled = 0;
    const queries = clustered(20, 384, { random: seeded(3) });
    for (const query of queries) {
      const cosines = vectors.map((vector, row) => ({
        row,
        cosine:
          vector.reduce((sum, value, at) => sum + value * (query[at] ?? 0), 0) /
          (lengths[row] ?? 1),
      }));
      const wanted = cosines.toSorted((a, b) => b.cosine - a.cosine).slice(0, 10);
      const found = new Set(scanner.search([query], 10)[0]?.map(({ row }) => row));
      recalled += wanted.filter(({ row }) => found.has(row)).length;
    }
    expect(recalled / (queries.length * 10)).toBeGreaterThanOrEqual(0.95);
  });

  it("gives rows the length 1", () => {
    const built = new CorpusBuilder({ dimensions: 2, texts: false });
    built.add({ id: "a", vector: [3e30, 4e30] });
    const scanner = scannerOf([[3e30, 4e30]]);
    expect(scanner.search([Float32Array.of(0.6, 0.8)], 1)[0]?.[0]?.score).toBeCloseTo(1, 4);
  });
});
