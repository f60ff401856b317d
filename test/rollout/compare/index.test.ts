import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { TaskConfig } from "../../../src/catalog/manifest.ts";
import { type Answer, compareAnswers, MAX_ITEMS } from "../../../src/rollout/compare/index.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";

const TASKS: readonly TaskConfig[] = [
  { type: "embedding", maxTokens: 8, dimensions: 2, tokenizer: "tokenizer" },
  { type: "byte-classification", maxBytes: 9, minBytes: 1, labels: ["a", "b"] },
  { type: "tabular-classification", columns: ["x"], labels: ["a", "b"] },
  { type: "speech-activity", sampleRate: 1, stepSamples: 1, contextSamples: 0, maxSeconds: 9 },
  { type: "tensor" },
];
const [EMBEDDING, BYTES, TABULAR, SPEECH, TENSOR] = TASKS as [
  TaskConfig,
  TaskConfig,
  TaskConfig,
  TaskConfig,
  TaskConfig,
];

const task = (output: unknown): Answer => ({ form: "task", output });
const tensors = (outputs: Record<string, Tensor>): Answer => ({
  form: "tensors",
  tensors: outputs,
});
const floats = (shape: number[], ...data: number[]): Tensor => ({
  datatype: "FP64",
  shape,
  data: Float64Array.from(data),
});

const score = fc.double({ min: 0, max: 1, noNaN: true });
const element = fc.oneof(fc.double(), fc.integer({ min: -3, max: 3 }));

/** Something like each task's output, and anything. */
const output: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  fc.array(element, { maxLength: 4 }),
  fc.array(fc.array(element, { maxLength: 3 }), { maxLength: 4 }),
  fc.array(
    fc.oneof(
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(fc.record({ label: fc.constantFrom("a", "b", "c"), score }), { maxLength: 3 }),
    ),
    { maxLength: 4 },
  ),
  fc.array(fc.record({ start: element, end: element }), { maxLength: 4 }),
);

const tensor: fc.Arbitrary<Tensor> = fc.array(element, { maxLength: 8 }).chain((values) =>
  fc.constantFrom<Tensor>(
    { datatype: "FP32", shape: [values.length], data: Float32Array.from(values) },
    floats([values.length >> 1, 2], ...values.slice(0, values.length & ~1)),
    {
      datatype: "FP16",
      shape: [values.length],
      data: Uint16Array.from(values, (value) => (Number.isFinite(value) ? Math.abs(value) : 0)),
    },
    { datatype: "INT32", shape: [values.length], data: Int32Array.from(values) },
    {
      datatype: "INT64",
      shape: [values.length],
      data: BigInt64Array.from(values, (value) =>
        BigInt.asIntN(64, BigInt(Number.isFinite(value) ? Math.trunc(value) : 0)),
      ),
    },
    { datatype: "BYTES", shape: [values.length], data: values.map(String) },
  ),
);

const answer: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 4, arbitrary: output.map(task) },
  { weight: 1, arbitrary: fc.constant<Answer>({ form: "refused" }) },
  {
    weight: 2,
    arbitrary: fc
      .dictionary(fc.constantFrom("x", "y", "constructor"), tensor, { noNullPrototype: true })
      .map(tensors),
  },
);

const HIGHEST = {
  classification: 2,
  embedding: 2,
  text: 1,
  boxes: 1,
  segments: 1,
  tensor: 2,
  refusal: 1,
};

describe("compareAnswers", () => {
  it("is symmetric, bounded and never throws, whatever the answers are", () => {
    fc.assert(
      fc.property(fc.constantFrom(...TASKS), answer, answer, (config, a, b) => {
        const { kind, items, flips, distances } = compareAnswers(config, a, b);
        const other = compareAnswers(config, b, a);
        expect({ ...other, distances: [] }).toEqual({ kind, items, flips, distances: [] });
        expect(distances).toHaveLength(items);
        expect(flips).toBeLessThanOrEqual(items);
        for (const [index, distance] of distances.entries()) {
          expect(distance).toBeGreaterThanOrEqual(0);
          expect(distance).toBeLessThanOrEqual(HIGHEST[kind]);
          expect(other.distances[index]).toBeCloseTo(distance, 9);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("finds nothing between an answer and its copy", () => {
    fc.assert(
      fc.property(fc.constantFrom(...TASKS), answer, (config, a) => {
        const { flips, distances } = compareAnswers(config, a, structuredClone(a));
        expect(flips).toBe(0);
        expect(distances.every((distance) => distance === 0)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each<[string, TaskConfig, unknown, unknown]>([
    ["classification", BYTES, [{ label: "a", score: 1 }], [{ label: "b", score: 1 }]],
    ["classification", TABULAR, [0], [1]],
    ["embedding", EMBEDDING, [1, 0], [0, 1]],
    ["segments", SPEECH, [{ start: 0, end: 1 }], []],
    ["tensor", TENSOR, "anything", "else"],
  ])("compares as %s what the task %o answers", (kind, config, a, b) => {
    expect(compareAnswers(config, task(a), task(b))).toMatchObject({
      kind,
      items: 1,
      distances: [1],
    });
  });

  it("compares a classifier's tensors by rows, those of others and without labels by tensor", () => {
    const a = tensors({ y: floats([2, 2], 0.9, 0.1, 0.4, 0.6) });
    const b = tensors({ y: floats([2, 2], 0.8, 0.2, 0.6, 0.4) });
    expect(compareAnswers(TABULAR, a, b)).toMatchObject({
      kind: "classification",
      items: 2,
      flips: 1,
    });
    expect(compareAnswers(EMBEDDING, a, b)).toMatchObject({ kind: "tensor", items: 1, flips: 0 });
    const three = tensors({ y: floats([1, 3], 0, 0, 1) });
    expect(compareAnswers(TABULAR, three, three)).toMatchObject({ kind: "tensor" });
  });

  it("takes answers of two forms for as far apart as can be", () => {
    expect(compareAnswers(TABULAR, task([]), tensors({}))).toMatchObject({ distances: [1] });
  });

  it(`compares the first ${MAX_ITEMS} items and no more`, () => {
    const rows = Array.from({ length: 100 }, () => 1);
    const others = Array.from({ length: 100 }, (_, row) => (row < 3 || row >= MAX_ITEMS ? 2 : 1));
    const { items, flips, distances } = compareAnswers(TABULAR, task(rows), task(others));
    expect([items, flips, distances.length]).toEqual([MAX_ITEMS, 3, MAX_ITEMS]);
  });
});
