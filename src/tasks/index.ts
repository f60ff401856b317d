import type { Manifest, TaskType } from "../catalog/manifest.ts";
import { byteClassification } from "./byte-classification.ts";
import { embedding } from "./embedding.ts";
import { speechActivity } from "./speech-activity.ts";
import { tabularClassification } from "./tabular.ts";
import type { ManifestOf, Task, TaskRequest, TaskResult, TensorRunner } from "./task.ts";

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
  decode(request: TaskRequest): TaskInput;
  /** Parses the assets once per loaded model; the result goes to `run`, untouched. */
  prepare(assets: Readonly<Record<string, Uint8Array>>): unknown;
  run(session: TensorRunner, resources: unknown, input: TaskInput): TaskResult;
}

type Bind<T extends TaskType> = (manifest: ManifestOf<T>) => BoundTask;

/** Every task type; one without a row here does not compile. `tensor` takes no person's input. */
const TASKS: { readonly [T in Exclude<TaskType, "tensor">]: Bind<T> } & {
  readonly tensor: undefined;
} = {
  embedding: bind(embedding),
  "byte-classification": bind(byteClassification),
  "speech-activity": bind(speechActivity),
  "tabular-classification": bind(tabularClassification),
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
    decode: (request) => task.decode(request, manifest) as unknown as TaskInput,
    prepare: (assets) => task.prepare(assets, manifest),
    run: (session, resources, input) =>
      task.run(session, resources as Resources, input as unknown as Input, manifest),
  });
}
