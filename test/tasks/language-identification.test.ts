import { describe, expect, it } from "vitest";

import type { Tensor } from "../../src/runtime/tensor.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { languageIdentification } from "../../src/tasks/language-identification.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import type { TaskRequest } from "../../src/tasks/task.ts";
import { TOOLS } from "../support/tools.ts";
import { type Feeds, fp32, json, raw, recordingRunner, refusal, taskManifest } from "./support.ts";

const LABELS = ["eng", "deu", "fra"];
const NGRAMS = [" ", "a", "b", "ab"];
const manifest = taskManifest(
  { type: "language-identification", maxCharacters: 20, labels: LABELS },
  3,
);

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const prepare = (ngrams: Uint8Array | undefined) =>
  languageIdentification.prepare(ngrams === undefined ? {} : { ngrams }, manifest, TOOLS);
const decode = (request: TaskRequest) =>
  languageIdentification.decode(request, manifest, edgeLimits(manifest));

/** What stands more often decides: "a" is for eng, "b" for deu. */
function model({ frequencies }: Feeds): Record<string, Tensor> {
  if (frequencies?.datatype !== "FP32") throw new Error("frequencies must be FP32");
  const rows = frequencies.shape[0] ?? 0;
  const scores = Array.from({ length: rows }, (_, row) => {
    const [a = 0, b = 0] = frequencies.data.subarray(row * NGRAMS.length + 1);
    return [a, b, 0.125];
  });
  return { probabilities: fp32(scores.flat(), [rows, LABELS.length]) };
}

function run(request: TaskRequest, answer = model) {
  const runner = recordingRunner(answer);
  const resources = prepare(utf8(JSON.stringify(NGRAMS)));
  const limits = edgeLimits(manifest);
  const result = runHere(
    languageIdentification.run(resources, decode(request), manifest, limits),
    runner,
  );
  return { ...result, runs: runner.runs };
}

describe("language identification: decode", () => {
  it.each([
    ["a string", json("Ab-c!"), [" ab c "]],
    ["an array", json(["ab", "c d"]), [" ab ", " c d "]],
    ["a raw text", raw("äB\n", "text/plain"), [" äb "]],
    [
      "a raw text that says it is UTF-8",
      raw("a", "text/plain", { mediaParameters: { charset: "UTF-8" } }),
      [" a "],
    ],
  ])("takes %s", (_, request, texts) => {
    expect(decode(request).texts).toEqual(texts);
  });

  it.each([
    ["no letters", json("12 34!"), "invalid_input", "inputs"],
    ["an empty body", raw("", "text/plain"), "invalid_input", "inputs"],
    ["no letters among texts", json(["a", "…"]), "invalid_input", "inputs[1]"],
    ["a number", json(5), "invalid_input", "inputs"],
    ["an empty array", json([]), "invalid_input", "inputs"],
    ["a text that is too long", json("x".repeat(21)), "input_too_long", "inputs"],
    ["one of several that is", json(["a", "x".repeat(21)]), "input_too_long", "inputs[1]"],
    ["too many texts", json(["a", "b", "c", "d"]), "batch_too_large", "inputs"],
    ["bytes that are no UTF-8", raw(Uint8Array.of(0xff), "text/plain"), "invalid_input", "inputs"],
    [
      "another charset",
      raw("a", "text/plain", { mediaParameters: { charset: "latin1" } }),
      "unsupported_media_type",
      "content-type",
    ],
    ["more labels than there are", json("a", { top_k: 4 }), "invalid_input", "parameters.top_k"],
  ] as const)("refuses %s", (_, request, code, field) => {
    expect(() => decode(request)).toThrow(refusal(code, field));
  });

  it("takes a text of the limit, and gives all labels where there are few", () => {
    expect(decode(json("x".repeat(20)))).toMatchObject({ characters: 20, topK: 3 });
  });
});

describe("language identification: prepare", () => {
  it.each([
    ["is missing", undefined],
    ["is no JSON", utf8("[")],
    ["is empty", utf8("[]")],
    ["has something else in it", utf8("[1]")],
  ])("refuses a list of n-grams that %s", (_, asset) => {
    expect(() => prepare(asset)).toThrow(refusal("model_damaged", undefined));
  });
});

describe("language identification: run", () => {
  it("answers a string, and a raw body, with labels, best first", () => {
    for (const request of [
      json("abb", { top_k: 2 }),
      raw("abb", "text/plain", { parameters: { top_k: 2 } }),
    ]) {
      expect(run(request)).toMatchObject({
        output: [
          { label: "deu", score: Math.fround(2 / 5) },
          { label: "eng", score: Math.fround(1 / 5) },
        ],
        units: { items: 1, characters: 3 },
      });
    }
  });

  it("answers an array in its order, from one run of the graph, and counts characters as sent", () => {
    const { output, units, runs } = run(json(["a-1", "😀b", "ab"], { top_k: 1 }));
    expect(output).toMatchObject([[{ label: "eng" }], [{ label: "deu" }], [{ label: "eng" }]]);
    expect(units).toEqual({ items: 3, characters: 8 });
    expect(runs.map(({ frequencies }) => frequencies?.shape)).toEqual([[3, NGRAMS.length]]);
    expect(run(json(["a"], { top_k: 1 })).output).toMatchObject([[{ label: "eng" }]]);
  });

  it("knows what it will count before it runs", () => {
    const input = decode(json(["a-1", "😀b"]));
    expect(languageIdentification.estimate(input, manifest)).toEqual({ items: 2, characters: 6 });
  });

  it("does not answer with probabilities that are no numbers, or of another length", () => {
    const nan = () => ({ probabilities: fp32([Number.NaN, 0, 0], [1, 3]) });
    expect(() => run(json("a"), nan)).toThrow(refusal("inference_failed", "inputs"));
    const short = () => ({ probabilities: fp32([1], [1, 1]) });
    expect(() => run(json("a"), short)).toThrow(refusal("internal", undefined));
  });
});
