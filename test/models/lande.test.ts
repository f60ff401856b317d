import path from "node:path";

import lande from "lande";
import { beforeAll, describe, expect, it } from "vitest";

import { readSentences } from "../../models/lande/make-fixtures.ts";
import { type BuiltModel, buildModel } from "../../src/publish/build.ts";
import { externalize } from "../../src/publish/onnx/externalize.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { languageIdentification } from "../../src/tasks/language-identification.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import type { LabelScore } from "../../src/tasks/outputs.ts";
import type { TensorRunner } from "../../src/tasks/task.ts";
import { json, taskManifest } from "../tasks/support.ts";
import { TOOLS } from "../support/tools.ts";

const LARGEST_DIFFERENCE = 1e-6;
/** int8 beside its scales; in float32 the weights alone have 322 kB. */
const MOST_BYTES = 90_000;

const sentences = Object.entries(await readSentences());

describe("lande, in the runtime that Workers run", () => {
  let built: BuiltModel;
  let session: TensorRunner;
  beforeAll(async () => {
    built = await buildModel(path.join(ROOT, "models/lande"));
    const { graph, weights } = externalize(built.onnx, "weights.bin");
    session = createSession(await startOrt(await runtimeModule()), {
      graph,
      ...(weights && { weights: { name: "weights.bin", data: weights } }),
    });
  });

  function identify(inputs: readonly string[]): LabelScore[][] {
    const { task } = built.source;
    if (task.type !== "language-identification") throw new Error(task.type);
    const manifest = taskManifest(task, inputs.length);
    const limits = edgeLimits(manifest);
    const request = json(inputs, { top_k: task.labels.length });
    const input = languageIdentification.decode(request, manifest, limits);
    const places = languageIdentification.prepare(built.assets, manifest, TOOLS);
    const { output } = runHere(
      languageIdentification.run(places, input, manifest, limits),
      session,
    );
    return output as LabelScore[][];
  }

  /** The largest difference of any language's score from its authors' own. */
  function differenceFromAuthors(scores: readonly LabelScore[] | undefined, text: string): number {
    const expected = new Map<string, number>(lande(text));
    expect(scores?.length).toBe(expected.size);
    const differences = (scores ?? []).map(({ label, score }) =>
      Math.abs(score - (expected.get(label) ?? Number.NaN)),
    );
    return Math.max(...differences);
  }

  it("has a sentence for each of its 50 languages", () => {
    const { task } = built.source;
    expect(sentences.map(([code]) => code)).toEqual("labels" in task && task.labels);
    expect(sentences.length).toBe(50);
  });

  it.each(sentences)("knows %s, with its authors' scores of all languages", (code, text) => {
    const [scores] = identify([text]);
    expect(scores?.[0]?.label).toBe(code);
    expect(differenceFromAuthors(scores, text)).toBeLessThan(LARGEST_DIFFERENCE);
  });

  it("says the same of each text among others", () => {
    const all = identify(sentences.map(([, text]) => text));
    for (const [row, [, text]] of sentences.entries()) {
      expect(differenceFromAuthors(all[row], text)).toBeLessThan(LARGEST_DIFFERENCE);
    }
  });

  it.each([
    ["one letter", "q"],
    ["letters of no language that it knows", "ꙮꙮꙮ"],
    ["two languages", "Where is my book? Où est mon livre?"],
    ["digits, marks and emoji around a word", "123 — «hello» 😀!!"],
    ["a long text", "the quick brown fox jumps over the lazy dog ".repeat(200)],
  ])("agrees with its authors about %s", (_, text) => {
    expect(differenceFromAuthors(identify([text])[0], text)).toBeLessThan(LARGEST_DIFFERENCE);
  });

  it("is as small as its authors' bytes", () => {
    expect(built.onnx.length).toBeLessThan(MOST_BYTES);
  });
});
