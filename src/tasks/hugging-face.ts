import type { TaskType } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import type { Parameters } from "./parameters.ts";

/**
 * Hugging Face's names for what each task answers; the first is what it answers when nobody says.
 * One without a row here does not compile.
 */
const NAMES: { readonly [T in TaskType]: readonly string[] } = {
  embedding: ["feature-extraction", "sentence-similarity"],
  "byte-classification": ["text-classification"],
  "image-classification": ["image-classification"],
  "language-identification": ["text-classification"],
  "speech-activity": ["voice-activity-detection", "audio-classification"],
  "tabular-classification": ["tabular-classification"],
  "text-recognition": ["image-to-text"],
  "text-generation": [],
  tensor: [],
};

/**
 * What a client of Hugging Face takes where it differs from what Nearside answers. Their own service answers
 * one text with a list of one list, and their client wants an object for an image.
 */
const FORMS: Readonly<Record<string, (output: unknown) => unknown>> = {
  "text-classification": (output) =>
    Array.isArray(output) && !Array.isArray(output[0]) ? [output] : output,
  "image-to-text": (output) =>
    Array.isArray(output) && Array.isArray(output[0]) ? output.map(firstOf) : firstOf(output),
};

const firstOf = (output: unknown): unknown =>
  Array.isArray(output) ? (output as readonly unknown[])[0] : output;

/**
 * The task that a request names, as Hugging Face calls it: their clients send nothing that would tell, but keep
 * `?task=audio-classification` in an endpoint's address.
 *
 * @throws NearsideError `invalid_input` when the model's task is another one
 */
export function checkHuggingFaceTask(type: TaskType, { task = null }: Parameters): void {
  const names = NAMES[type];
  if (task === null || names.some((name) => name === task)) return;
  throw new NearsideError("invalid_input", `The model's "task" can be ${names.join(" or ")}.`, {
    field: "parameters.task",
  });
}

/** The output in the form of the task that a request names; as it is where it names none. */
export function inHuggingFaceForm(output: unknown, { task }: Parameters): unknown {
  const form = typeof task === "string" && Object.hasOwn(FORMS, task) ? FORMS[task] : undefined;
  return form === undefined ? output : form(output);
}
