import { readdir } from "node:fs/promises";
import path from "node:path";

import { describe, expect, it } from "vitest";

import { type Manifest, TaskConfig } from "../../src/catalog/manifest.ts";
import { readModelSource } from "../../src/publish/source.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { taskFor } from "../../src/tasks/index.ts";
import { manifestOf } from "../support/manifests.ts";
import { fp32, json, recordingRunner, refusal, taskManifest } from "./support.ts";
import { TOOLS } from "../support/tools.ts";

const TYPES = TaskConfig.options.map(({ entries }) => entries.type.literal);
const folder = path.join(ROOT, "models");
const MODELS = await Promise.all(
  (await readdir(folder)).map((name) => readModelSource(path.join(folder, name))),
);

/** A manifest that says no more of its task than the type. */
const typed = (type: string): Manifest =>
  manifestOf({ task: { type } as unknown as Manifest["task"] });

describe("taskFor", () => {
  it("has no task for a model that takes tensors only", () => {
    expect(taskFor(taskManifest({ type: "tensor" }))).toBeUndefined();
  });

  it.each(TYPES.filter((type) => type !== "tensor" && type !== "text-generation"))(
    "has a row for %s",
    (type) => {
      const task = taskFor(typed(type));
      expect(task?.mediaTypes.length).toBeGreaterThan(0);
      for (const mediaType of task?.mediaTypes ?? [])
        expect(mediaType).toMatch(/^[a-z]+\/[a-z0-9.*-]+$/);
    },
  );

  it.each(MODELS.filter(({ edge }) => edge !== false))(
    "has a row for the model $name",
    (source) => {
      expect(taskFor(manifestOf({ task: source.task }))).toBeDefined();
    },
  );

  it("gives the task the manifest that it was found for", () => {
    const task = taskFor(
      taskManifest({ type: "tabular-classification", columns: ["a"], labels: ["low", "high"] }, 2),
    );
    if (task === undefined) throw new Error("tabular classification has a row");
    expect(() => task.decode(json([[1], [2], [3]]))).toThrow(refusal("batch_too_large", "inputs"));
    expect(() => task.decode(json({ b: 1 }))).toThrow(refusal("invalid_input", "inputs.a"));
    const runner = recordingRunner(() => ({ probabilities: fp32([0.25, 0.75], [1, 2]) }));
    expect(runHere(task.run(task.prepare({}, TOOLS), task.decode(json([5]))), runner)).toEqual({
      output: [
        { label: "high", score: 0.75 },
        { label: "low", score: 0.25 },
      ],
      units: { items: 1, elements: 1 },
    });
    expect(runner.runs).toEqual([{ features: fp32([5], [1, 1]) }]);
  });

  it("hands what was prepared to the run", () => {
    const task = taskFor(
      taskManifest({ type: "embedding", maxTokens: 8, dimensions: 1, tokenizer: "tokenizer" }),
    );
    expect(() => task?.prepare({}, TOOLS)).toThrow(refusal("model_damaged", undefined));
  });
});
