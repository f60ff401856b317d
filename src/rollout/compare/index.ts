import type { TaskConfig, TaskType } from "../../catalog/manifest.ts";
import type { ShadowComparison } from "../comparison.ts";
import { compareClassifications, compareLabelTensors } from "./classification.ts";
import { compareEmbeddings } from "./embedding.ts";
import { compareValues } from "./items.ts";
import { compareRecognitions } from "./recognition.ts";
import { compareRefusals } from "./refusal.ts";
import { compareSegments } from "./segments.ts";
import { compareTensors, type Tensors } from "./tensor.ts";
import { compareTexts } from "./text.ts";

export { compareBoxes } from "./boxes.ts";
export { MAX_ITEMS } from "./items.ts";
export { compareTexts } from "./text.ts";

/** What a version answered: a task's output (`TaskResult.output`), the graph's, or nothing. */
export type Answer =
  | { readonly form: "task"; readonly output: unknown }
  | { readonly form: "tensors"; readonly tensors: Tensors }
  /** It refused the input, or could not compute it. */
  | { readonly form: "refused" };

type CompareOutputs = (a: unknown, b: unknown) => ShadowComparison;

/** Every task type; one without a row here does not compile. */
const BY_TASK: { readonly [T in TaskType]: CompareOutputs } = {
  embedding: compareEmbeddings,
  "byte-classification": compareClassifications,
  "image-classification": compareClassifications,
  "language-identification": compareClassifications,
  "tabular-classification": compareClassifications,
  "speech-activity": compareSegments,
  "text-recognition": compareRecognitions,
  "text-generation": compareTexts,
  // Answers tensors only; anything else is the same or it is not.
  tensor: compareWhole,
};

/**
 * How far two versions' answers to the same input are apart, item by item, at most `MAX_ITEMS` of them. It
 * is symmetric, 0 for equal answers, and never throws: what one answer lacks, and what can't be read, has
 * the distance 1.
 *
 * @param task of the version that answered the caller
 *
 * @example
 * compareAnswers(manifest.task, { form: "task", output: [0.6, 0.8] }, { form: "task", output: [0.8, 0.6] });
 * // { kind: "embedding", items: 1, flips: 0, distances: [0.04] }
 */
export function compareAnswers(task: TaskConfig, a: Answer, b: Answer): ShadowComparison {
  if (a.form === "refused" || b.form === "refused") return compareRefusals(a.form === b.form);
  if (a.form === "tensors" && b.form === "tensors") {
    const rows =
      "labels" in task ? compareLabelTensors(a.tensors, b.tensors, task.labels.length) : undefined;
    return rows ?? compareTensors(a.tensors, b.tensors);
  }
  if (a.form === "task" && b.form === "task") return BY_TASK[task.type](a.output, b.output);
  return compareWhole(a, b);
}

function compareWhole(a: unknown, b: unknown): ShadowComparison {
  return compareValues("tensor", [a], [b], () => undefined);
}
