import { describe, expect, it } from "vitest";

import { checkHuggingFaceTask, inHuggingFaceForm } from "../../src/tasks/hugging-face.ts";
import { refusal } from "./support.ts";

const A = { label: "a", score: 0.75 };
const B = { label: "b", score: 0.25 };

describe("the task that a request names", () => {
  it.each([
    ["embedding", "feature-extraction"],
    ["embedding", "sentence-similarity"],
    ["byte-classification", "text-classification"],
    ["language-identification", "text-classification"],
    ["speech-activity", "voice-activity-detection"],
    ["speech-activity", "audio-classification"],
    ["tabular-classification", "tabular-classification"],
    ["image-classification", "image-classification"],
    ["text-recognition", "image-to-text"],
  ] as const)("of a model of %s may be %s", (type, task) => {
    expect(() => checkHuggingFaceTask(type, { task })).not.toThrow();
  });

  it.each([{}, { task: undefined }, { task: null }])("may be absent: %j", (parameters) => {
    expect(() => checkHuggingFaceTask("embedding", parameters)).not.toThrow();
  });

  it.each(["text-classification", "Feature-Extraction", "", 1, true, ["feature-extraction"], {}])(
    "of a model of embeddings can't be %j",
    (task) => {
      expect(() => checkHuggingFaceTask("embedding", { task })).toThrow(
        refusal("invalid_input", "parameters.task"),
      );
    },
  );
});

describe("what is answered", () => {
  it.each([
    ["text-classification", [A, B], [[A, B]]],
    ["text-classification", [[A], [B]], [[A], [B]]],
    ["image-to-text", [{ generated_text: "a" }], { generated_text: "a" }],
    ["image-to-text", [[{ generated_text: "a" }]], [{ generated_text: "a" }]],
    [
      "image-to-text",
      [[{ generated_text: "a" }], [{ generated_text: "b" }]],
      [{ generated_text: "a" }, { generated_text: "b" }],
    ],
    ["image-to-text", { generated_text: "a" }, { generated_text: "a" }],
    ["audio-classification", [A, B], [A, B]],
    ["constructor", [A], [A]],
    [undefined, [A], [A]],
  ])("for %s is %j as %j", (task, output, expected) => {
    expect(inHuggingFaceForm(output, { task })).toEqual(expected);
  });
});
