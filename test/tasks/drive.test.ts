import { describe, expect, it } from "vitest";

import { runHere, runThere } from "../../src/tasks/drive.ts";
import { embedding } from "../../src/tasks/embedding.ts";
import { edgeLimits, originLimits, type TaskLimits } from "../../src/tasks/limits.ts";
import type { TensorRun } from "../../src/tasks/task.ts";
import { minilmTokenizer, tokenizerAsset } from "./minilm-tokenizer.ts";
import { fp32, json, recordingRunner, refusal, taskManifest } from "./support.ts";
import { TOOLS } from "../support/tools.ts";

/** Doubles a number twice, and tells what came of it. */
function* twice(start: number): TensorRun<string> {
  let value = start;
  for (let round = 0; round < 2; round++) {
    const { y } = yield { feeds: { x: fp32([value], [1]) } };
    value = Number(y?.data[0]);
  }
  return `${value}`;
}

const doubler = () => recordingRunner(({ x }) => ({ y: fp32([2 * Number(x?.data[0])], [1]) }));

describe("a task at work", () => {
  it("feeds the session of this isolate", () => {
    const session = doubler();
    expect(runHere(twice(3), session)).toBe("12");
    expect(session.runs).toEqual([{ x: fp32([3], [1]) }, { x: fp32([6], [1]) }]);
  });

  it("feeds a session elsewhere the same, in the same order", async () => {
    const session = doubler();
    const answer = await runThere(twice(3), { run: async (feeds) => session.run(feeds) });
    expect(answer).toBe("12");
    expect(session.runs).toEqual([{ x: fp32([3], [1]) }, { x: fp32([6], [1]) }]);
  });

  it("ends with the session's error, here and there", async () => {
    const failing = recordingRunner(() => {
      throw new Error("broken");
    });
    expect(() => runHere(twice(3), failing)).toThrow("broken");
    const there = runThere(twice(3), { run: async (feeds) => failing.run(feeds) });
    await expect(there).rejects.toThrow("broken");
    expect(failing.runs).toHaveLength(2);
  });
});

describe("the limits of a task", () => {
  const manifest = taskManifest(
    { type: "embedding", maxTokens: 64, dimensions: 1, tokenizer: "tokenizer" },
    2,
  );
  const edge = edgeLimits(manifest);
  const origin = originLimits({ pool: "gpu", limits: { maxBatch: 300, maxBodyBytes: 1 } });
  const tokenizer = embedding.prepare(
    { tokenizer: tokenizerAsset(minilmTokenizer) },
    manifest,
    TOOLS,
  );
  const texts = Array<string>(100).fill("the ".repeat(62));
  const embed = (limits: TaskLimits, inputs: unknown) => {
    const runner = recordingRunner(({ input_ids }) => {
      const count = input_ids?.shape[0] ?? 0;
      return { sentence_embedding: fp32(Array<number>(count).fill(1), [count, 1]) };
    });
    const input = embedding.decode(json(inputs), manifest, limits);
    return { ...runHere(embedding.run(tokenizer, input, manifest, limits), runner), runner };
  };

  it("are the model's own at the edge, and the route's at the origin", () => {
    expect(() => embed(edge, ["a", "b", "c"])).toThrow(refusal("batch_too_large", "inputs"));
    expect(embed(origin, ["a", "b", "c"]).output).toEqual([[1], [1], [1]]);
  });

  it("let an origin take more tokens at once", () => {
    const wide = { ...edge, maxBatch: 300 };
    expect(() => embed(wide, texts)).toThrow(refusal("batch_too_large", "inputs"));
    const { units, runner } = embed(origin, texts);
    expect(units).toEqual({ items: 100, tokens: 6_400 });
    expect(runner.runs).toHaveLength(1);
    expect(embed({ ...wide, requestTokens: 6_400 }, texts).runner.runs).toHaveLength(25);
  });
});

describe("an estimate", () => {
  const manifest = taskManifest(
    { type: "embedding", maxTokens: 16, dimensions: 1, tokenizer: "tokenizer" },
    8,
  );
  const tokenizer = embedding.prepare(
    { tokenizer: tokenizerAsset(minilmTokenizer) },
    manifest,
    TOOLS,
  );
  const counted = (text: string) => tokenizer.encode(text, 16).ids.length;
  const estimated = (...texts: string[]) =>
    embedding.estimate(embedding.decode(json(texts), manifest, edgeLimits(manifest)), manifest);

  it.each(["The weather is lovely today.", "He drove to the stadium.", "It's so sunny outside!"])(
    "of %j is near its tokens",
    (text) => {
      const { tokens = 0 } = estimated(text);
      expect(Math.abs(tokens - counted(text))).toBeLessThanOrEqual(2);
    },
  );

  it("counts no more of a text than the model reads", () => {
    expect(estimated("word ".repeat(1_000), "")).toEqual({ items: 2, tokens: 16 + 2 });
  });
});
