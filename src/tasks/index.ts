import type { Manifest, TaskType } from "../catalog/manifest.ts";
import { byteClassification } from "./byte-classification.ts";
import { embedding } from "./embedding.ts";
import { imageClassification } from "./image-classification.ts";
import { languageIdentification } from "./language-identification.ts";
import { speechActivity } from "./speech-activity.ts";
import { tabularClassification } from "./tabular.ts";
import { textRecognition } from "./text-recognition.ts";
import { edgeLimits, type TaskLimits } from "./limits.ts";
import type { ManifestOf, Task, TaskRequest, TaskResult, TensorRun, Units } from "./task.ts";
import type { TaskTools } from "./tools.ts";

declare const decoded: unique symbol;

/** What `decode` made of a request: only for `run` of the same task. */
export interface TaskInput {
  readonly [decoded]: never;
}

/** A task and the manifest that it was found for. */
export interface BoundTask {
  /** Media types that a raw body may have; `text/*` stands for all of them. */
  readonly mediaTypes: readonly string[];
  /** @throws NearsideError with the offending field */
  decode(request: TaskRequest, limits?: TaskLimits): TaskInput;
  /** What `run` will count, as far as it is known before the model is there. */
  estimate(input: TaskInput): Units;
  /** How many vectors the answer will be, as a corpus can be searched with; undefined: it will be something else. */
  vectors(input: TaskInput): number | undefined;
  /** Parses the assets once per loaded model; the result goes to `run`, untouched. */
  prepare(assets: Readonly<Record<string, Uint8Array>>, tools: TaskTools): unknown;
  /** @param limits the edge's, unless said otherwise */
  run(resources: unknown, input: TaskInput, limits?: TaskLimits): TensorRun<TaskResult>;
}

type Bind<T extends TaskType> = (manifest: ManifestOf<T>) => BoundTask;

/** Types that take no person's input: tensors only, or a conversation by the OpenAI routes. */
type Tensors = "tensor" | "text-generation";

/** Every task type; one without a row here does not compile. */
const TASKS: { readonly [T in Exclude<TaskType, Tensors>]: Bind<T> } & {
  readonly [T in Tensors]: undefined;
} = {
  embedding: bind(embedding),
  "byte-classification": bind(byteClassification),
  "image-classification": bind(imageClassification),
  "language-identification": bind(languageIdentification),
  "speech-activity": bind(speechActivity),
  "tabular-classification": bind(tabularClassification),
  "text-recognition": bind(textRecognition),
  "text-generation": undefined,
  tensor: undefined,
};

/** The task of a model; undefined for a model that takes tensors only. */
export function taskFor(manifest: Manifest): BoundTask | undefined {
  // The row is found by the manifest's own type, which TypeScript can't follow through the table.
  const bindTask = TASKS[manifest.task.type] as ((manifest: Manifest) => BoundTask) | undefined;
  return bindTask?.(manifest);
}

/** Hides what only the task needs to know: the types of its input and of its resources. */
function bind<T extends TaskType, Input, Resources>(task: Task<T, Input, Resources>): Bind<T> {
  return (manifest) => ({
    mediaTypes: task.mediaTypes,
    decode: (request, limits = edgeLimits(manifest)) =>
      task.decode(request, manifest, limits) as unknown as TaskInput,
    estimate: (input) => task.estimate(input as unknown as Input, manifest),
    vectors: (input) => task.vectors?.(input as unknown as Input, manifest),
    prepare: (assets, tools) => task.prepare(assets, manifest, tools),
    run: (resources, input, limits = edgeLimits(manifest)) =>
      task.run(resources as Resources, input as unknown as Input, manifest, limits),
  });
}
