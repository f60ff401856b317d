import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";

import { elementCount, type Tensor } from "../../src/runtime/tensor.ts";
import { embed, embedding, microBatches } from "../../src/tasks/embedding.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import type { TaskRequest, TensorRunner } from "../../src/tasks/task.ts";
import { TextTokenizer } from "../../src/tasks/tokenizer.ts";
import { minilmTokenizer, tokenizerAsset } from "./minilm-tokenizer.ts";
import { type Feeds, fp32, json, raw, recordingRunner, refusal, taskManifest } from "./support.ts";
import { TOOLS } from "../support/tools.ts";

const MAX_TOKENS = 64;
/** No run may have more tokens than this, padding included; the task's own bound is lower. */
const MOST_RUN_TOKENS = 1_024;
const manifest = taskManifest(
  { type: "embedding", maxTokens: MAX_TOKENS, dimensions: 2, tokenizer: "tokenizer" },
  64,
);

let tokenizer: TextTokenizer;
beforeAll(() => {
  tokenizer = embedding.prepare({ tokenizer: tokenizerAsset(minilmTokenizer) }, manifest, TOOLS);
});

/** The fed rows as numbers. */
function rowsOf(feeds: Feeds, name: string): number[][] {
  const tensor = feeds[name];
  if (tensor?.datatype !== "INT64") throw new Error(`${name} must be INT64`);
  const [count = 0, length = 0] = tensor.shape;
  expect(tensor.data).toHaveLength(count * length);
  return Array.from({ length: count }, (_, row) =>
    Array.from(tensor.data.subarray(row * length, (row + 1) * length), Number),
  );
}

/** A text's vector: how many tokens it has, and the sum of their ids; float32 holds both exactly. */
function model(feeds: Feeds): Record<string, Tensor> {
  const masks = rowsOf(feeds, "attention_mask");
  const vectors = rowsOf(feeds, "input_ids").map((ids, row) => {
    const kept = ids.filter((_, at) => masks[row]?.[at] === 1);
    return [kept.length, kept.reduce((sum, id) => sum + id, 0)];
  });
  return { sentence_embedding: fp32(vectors.flat(), [masks.length, 2]) };
}

const decode = (request: TaskRequest) => embedding.decode(request, manifest, edgeLimits(manifest));

function run(request: TaskRequest, resources = tokenizer) {
  const runner = recordingRunner(model);
  const { output, units } = runHere(
    embedding.run(resources, decode(request), manifest, edgeLimits(manifest)),
    runner,
  );
  return { output, units, runs: runner.runs };
}

/** "the" has the id 1996; with [CLS] and [SEP] the text has `tokens` tokens. */
const textOf = (tokens: number): string => "the ".repeat(tokens - 2);
const vectorOf = (tokens: number): number[] => [tokens, 101 + 102 + (tokens - 2) * 1996];

describe("embedding: decode", () => {
  it.each([
    ["a string", json("a"), { items: ["a"], form: "one", truncate: true }],
    ["an array", json(["a", ""]), { items: ["a", ""], form: "several", truncate: true }],
    ["a plain text", raw("\ufeffä", "text/plain"), { items: ["ä"], form: "one", truncate: true }],
    [
      "a sentence and others",
      json({ source_sentence: "a", sentences: ["b", ""] }),
      { items: ["a", "b", ""], form: "comparison", truncate: true },
    ],
    [
      "fewer numbers of a vector",
      json("a", { dimensions: 1 }),
      { items: ["a"], form: "one", truncate: true, dimensions: 1 },
    ],
    [
      "parameters that it knows",
      json("a", { truncate: false, normalize: true, truncation_direction: "Right" }),
      { items: ["a"], form: "one", truncate: false },
    ],
    [
      "parameters that are null or unknown",
      json("a", { truncate: null, normalize: null, truncation_direction: null, prompt_name: 5 }),
      { items: ["a"], form: "one", truncate: true },
    ],
    [
      "the query's parameters beside a plain text",
      raw("a", "text/plain", { parameters: { truncate: false } }),
      { items: ["a"], form: "one", truncate: false },
    ],
  ])("takes %s", (_, request, expected) => {
    expect(decode(request)).toEqual({ field: "inputs", dimensions: 2, ...expected });
  });

  it.each(["utf-8", "UTF-8", "utf8", "US-ASCII"])("takes charset=%s", (charset) => {
    expect(decode(raw("a", "text/plain", { mediaParameters: { charset } })).items).toEqual(["a"]);
  });

  it.each(["iso-8859-1", "utf-16", "shift_jis", ""])("refuses charset=%s", (charset) => {
    expect(() => decode(raw("a", "text/plain", { mediaParameters: { charset } }))).toThrow(
      refusal("unsupported_media_type", "content-type"),
    );
  });

  it.each([
    ["no text", json(undefined), "inputs"],
    ["no sentences", json({ source_sentence: "a" }), "inputs.sentences"],
    [
      "an empty list of sentences",
      json({ source_sentence: "a", sentences: [] }),
      "inputs.sentences",
    ],
    ["no sentence to compare with", json({ sentences: ["a"] }), "inputs.source_sentence"],
    [
      "a number among sentences",
      json({ source_sentence: "a", sentences: ["b", 5] }),
      "inputs.sentences[1]",
    ],
    [
      "a text where sentences are to be compared",
      json("a", { task: "sentence-similarity" }),
      "inputs",
    ],
    [
      "sentences where vectors are asked for",
      json({ source_sentence: "a", sentences: ["b"] }, { task: "feature-extraction" }),
      "inputs",
    ],
    ["no numbers of a vector", json("a", { dimensions: 0 }), "parameters.dimensions"],
    ["more numbers than there are", json("a", { dimensions: 3 }), "parameters.dimensions"],
    ["half a number", json("a", { dimensions: 1.5 }), "parameters.dimensions"],
    ["an empty array", json([]), "inputs"],
    ["a number among texts", json(["a", 5]), "inputs[1]"],
    ["bytes that are not UTF-8", raw(Uint8Array.of(0xe4), "text/plain"), "inputs"],
    ["truncate as a word", json("a", { truncate: "yes" }), "parameters.truncate"],
    ["vectors that are not normalised", json("a", { normalize: false }), "parameters.normalize"],
    [
      "cutting from the left",
      json("a", { truncation_direction: "left" }),
      "parameters.truncation_direction",
    ],
    [
      "a direction that is a number",
      json("a", { truncation_direction: 1 }),
      "parameters.truncation_direction",
    ],
  ])("refuses %s", (_, request, field) => {
    expect(() => decode(request)).toThrow(refusal("invalid_input", field));
  });

  it("takes as many texts as the model's limit", () => {
    expect(decode(json(Array(64).fill("a"))).items).toHaveLength(64);
    expect(() => decode(json(Array(65).fill("a")))).toThrow(refusal("batch_too_large", "inputs"));
    const compared = (count: number) =>
      json({ source_sentence: "a", sentences: Array(count).fill("b") });
    expect(decode(compared(63)).items).toHaveLength(64);
    expect(() => decode(compared(64))).toThrow(refusal("batch_too_large", "inputs"));
  });

  it("refuses a text of more than 65,536 characters", () => {
    const longest = "a".repeat(65_536);
    expect(decode(json(longest)).items).toEqual([longest]);
    for (const [request, field] of [
      [json(`${longest}a`), "inputs"],
      [raw(`${longest}a`, "text/plain"), "inputs"],
      [json(["a", `${longest}a`]), "inputs[1]"],
      [json({ source_sentence: "a", sentences: [`${longest}a`] }), "inputs.sentences[0]"],
    ] as const) {
      expect(() => decode(request)).toThrow(refusal("input_too_long", field));
    }
  });
});

describe("embedding: prepare", () => {
  it("needs the tokenizer", () => {
    expect(() => embedding.prepare({}, manifest, TOOLS)).toThrow(
      refusal("model_damaged", undefined),
    );
  });
});

describe("embedding: run", () => {
  it("answers a string with a vector, and an array with an array", () => {
    expect(run(json("the")).output).toEqual(vectorOf(3));
    expect(run(raw("the", "text/plain")).output).toEqual(vectorOf(3));
    expect(run(json(["the"])).output).toEqual([vectorOf(3)]);
  });

  it("feeds ids and a mask, padded to the longest of the batch", () => {
    const { runs } = run(json(["the", "the the the", ""]));
    expect(runs).toHaveLength(1);
    expect(rowsOf(runs[0] ?? {}, "input_ids")).toEqual([
      [101, 1996, 1996, 1996, 102],
      [101, 1996, 102, 0, 0],
      [101, 102, 0, 0, 0],
    ]);
    expect(rowsOf(runs[0] ?? {}, "attention_mask")).toEqual([
      [1, 1, 1, 1, 1],
      [1, 1, 1, 0, 0],
      [1, 1, 0, 0, 0],
    ]);
  });

  it("pads with the tokenizer's own id", () => {
    const asset = tokenizerAsset({ ...minilmTokenizer, padding: { pad_id: 7 } });
    const { runs } = run(
      json(["the", ""]),
      embedding.prepare({ tokenizer: asset }, manifest, TOOLS),
    );
    expect(rowsOf(runs[0] ?? {}, "input_ids")[1]).toEqual([101, 102, 7]);
    expect(rowsOf(runs[0] ?? {}, "attention_mask")[1]).toEqual([1, 1, 0]);
  });

  it("pads short texts no further than to the longest of their own batch", () => {
    const texts = [...Array<string>(16).fill(textOf(MAX_TOKENS)), ...Array<string>(20).fill("the")];
    const { runs, output } = run(json(texts));
    const padded = runs.map(({ input_ids }) => elementCount(input_ids?.shape ?? []));
    expect(padded.reduce((sum, count) => sum + count, 0)).toBe(16 * MAX_TOKENS + 20 * 3);
    expect(output).toEqual([
      ...Array(16).fill(vectorOf(MAX_TOKENS)),
      ...Array(20).fill(vectorOf(3)),
    ]);
  });

  it("answers each text in its place with its own vector, whatever the batches", () => {
    const lengths = fc.array(fc.integer({ min: 2, max: MAX_TOKENS }), {
      minLength: 1,
      maxLength: 64,
      size: "max",
    });
    fc.assert(
      fc.property(lengths, (tokens) => {
        const { output, units, runs } = run(json(tokens.map(textOf)));
        expect(output).toEqual(tokens.map(vectorOf));
        expect(units).toEqual({
          items: tokens.length,
          tokens: tokens.reduce((sum, count) => sum + count, 0),
        });
        for (const feeds of runs) {
          const [rows = 0, length = 0] = feeds["input_ids"]?.shape ?? [];
          expect(rows * length).toBeLessThanOrEqual(MOST_RUN_TOKENS);
          const masks = rowsOf(feeds, "attention_mask");
          expect(Math.max(...masks.map((mask) => mask.lastIndexOf(1) + 1))).toBe(length);
        }
      }),
      { numRuns: 25 },
    );
  });

  it("cuts a text that is too long, its [SEP] kept", () => {
    const { output, units, runs } = run(json(`${textOf(MAX_TOKENS)} a a`));
    expect(output).toEqual(vectorOf(MAX_TOKENS));
    expect(units).toEqual({ items: 1, tokens: MAX_TOKENS });
    expect(rowsOf(runs[0] ?? {}, "input_ids")[0]?.at(-1)).toBe(102);
  });

  it("refuses to cut when it is asked not to", () => {
    const fits = textOf(MAX_TOKENS);
    const parameters = { truncate: false };
    expect(run(json(fits, parameters)).output).toEqual(vectorOf(MAX_TOKENS));
    for (const [request, field] of [
      [json(textOf(MAX_TOKENS + 1), parameters), "inputs"],
      [json([fits, fits, textOf(MAX_TOKENS + 1)], parameters), "inputs[2]"],
    ] as const) {
      expect(() => run(request)).toThrow(refusal("input_too_long", field));
      expect(() => run(request)).toThrow(/64 tokens/);
    }
  });

  it("runs nothing when a text is refused", () => {
    const runner = recordingRunner(model);
    const input = decode(json(["a", textOf(MAX_TOKENS + 1)], { truncate: false }));
    const started = embedding.run(tokenizer, input, manifest, edgeLimits(manifest));
    expect(() => runHere(started, runner)).toThrow(refusal("input_too_long", "inputs[1]"));
    expect(runner.runs).toEqual([]);
  });

  it("does not trust vectors of another length", () => {
    const runner = recordingRunner(() => ({ sentence_embedding: fp32([1, 2, 3], [1, 3]) }));
    const started = embedding.run(tokenizer, decode(json("a")), manifest, edgeLimits(manifest));
    expect(() => runHere(started, runner)).toThrow(refusal("internal", undefined));
  });
});

describe("embedding: tokens", () => {
  const { size } = new TextTokenizer(tokenizerAsset(minilmTokenizer));

  /** Runs the graph on tokens that the caller made. */
  const embedTokens = (...items: number[][]) => {
    const input = {
      items,
      form: "several",
      field: "input",
      truncate: true,
      dimensions: 2,
    } as const;
    const runner = recordingRunner(model);
    const embedded = runHere(embed(tokenizer, input, manifest, edgeLimits(manifest)), runner);
    return { ...embedded, runs: runner.runs };
  };

  it("become the vector of their text, with or without the special ones", () => {
    const { vectors, units } = embedTokens([1996, 1996], [101, 1996, 1996, 102]);
    expect(vectors.map((vector) => [...vector])).toEqual([vectorOf(4), vectorOf(4)]);
    expect(units).toEqual({ items: 2, tokens: 8 });
  });

  it("may be all that the tokenizer has, and no other", () => {
    expect(size).toBe(30_522);
    expect(embedTokens([0, size - 1]).units).toEqual({ items: 1, tokens: 4 });
    expect(() => embedTokens([1996], [1996, size])).toThrow(refusal("invalid_input", "input[1]"));
  });

  it("are never cut", () => {
    const most = Array<number>(MAX_TOKENS - 2).fill(1996);
    expect(embedTokens(most).units).toEqual({ items: 1, tokens: MAX_TOKENS });
    expect(() => embedTokens([...most, 1996])).toThrow(refusal("input_too_long", "input[0]"));
  });
});

describe("embedding: vectors", () => {
  /** Two numbers for each text, the next ones of those given. */
  const answering = (...vectors: number[][]) =>
    recordingRunner(() => ({ sentence_embedding: fp32(vectors.flat(), [vectors.length, 2]) }));
  const ran = (request: TaskRequest, runner: TensorRunner) =>
    runHere(embedding.run(tokenizer, decode(request), manifest, edgeLimits(manifest)), runner);

  it("are cut and made to have the length 1 again", () => {
    expect(ran(json("a", { dimensions: 1 }), answering([-0.5, 0.75])).output).toEqual([-1]);
    expect(ran(json(["a"], { dimensions: 2 }), answering([0.5, 0.75])).output).toEqual([
      [0.5, 0.75],
    ]);
    expect(ran(json("a", { dimensions: 1 }), answering([0, 1])).output).toEqual([0]);
  });

  it("of a sentence and others become cosines, and are what versions are compared by", () => {
    const request = json({ source_sentence: "a", sentences: ["b", "c", "d"] });
    const vectors = [
      [1, 0],
      [0, 1],
      [-1, 0],
      [1.0001, 0],
    ];
    const { output, units, comparable } = ran(request, answering(...vectors));
    expect(output).toEqual([0, -1, 1]);
    expect(units).toEqual({ items: 4, tokens: 12 });
    expect(comparable).toEqual(vectors.map((vector) => [...Float32Array.from(vector)]));
  });

  it("say which sentence is too long", () => {
    const request = json(
      { source_sentence: "a", sentences: ["b", textOf(MAX_TOKENS + 1)] },
      { truncate: false },
    );
    expect(() => ran(request, answering())).toThrow(
      refusal("input_too_long", "inputs.sentences[1]"),
    );
  });
});

describe("microBatches", () => {
  const rows = (lengths: readonly number[]) =>
    lengths.map((length, index) => ({ index, ids: Array<number>(length).fill(1) }));

  it("leaves a row that is longer than a run to itself", () => {
    expect(microBatches(rows([3, 2_000, 3]), 256).map((batch) => batch.length)).toEqual([1, 2]);
  });

  it("keeps rows of equal length in the request's order", () => {
    const [batch] = microBatches(rows([3, 5, 3, 5]), 256);
    expect(batch?.map(({ index }) => index)).toEqual([1, 3, 0, 2]);
  });

  it("puts every row into one batch, longest first", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(1_500), { maxLength: 80 }),
        fc.integer({ min: 1, max: 2_000 }),
        (lengths, runTokens) => {
          const batches = microBatches(rows(lengths), runTokens);
          const flat = batches.flat();
          expect(flat.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual([
            ...lengths.keys(),
          ]);
          const sizes = flat.map(({ ids }) => ids.length);
          expect(sizes).toEqual(lengths.toSorted((a, b) => b - a));
          for (const batch of batches) {
            const padded = batch.length * (batch[0]?.ids.length ?? 0);
            expect(batch.length === 1 || padded <= runTokens).toBe(true);
          }
        },
      ),
    );
  });
});
