import type { Manifest, TaskConfigOf, TaskType } from "../catalog/manifest.ts";
import type { Tensor } from "../runtime/tensor.ts";
import type { TaskLimits } from "./limits.ts";
import type { TaskTools } from "./tools.ts";

/** Every input of the graph, by name. */
export type Feeds = Readonly<Record<string, Tensor>>;

/** Every output of the graph, by name. */
export type Outputs = Readonly<Record<string, Tensor>>;

/** One run of a graph. */
export interface Step {
  readonly feeds: Feeds;
  /** Which graph, where the model is an ensemble of several. */
  readonly member?: string;
}

/** A task at work: it yields what a graph is to be fed, gets back what the graph answers, and returns the result. */
export type TensorRun<R> = Generator<Step, R, Outputs>;

/** The part of a session that a task needs: synchronous, because WASM computes on the calling thread. */
export interface TensorRunner {
  /**
   * @param feeds every input of the graph, by name
   * @returns every output of the graph, by name; the arrays are the caller's own copies
   */
  run(feeds: Feeds): Record<string, Tensor>;
  /** One graph of an ensemble; absent where there is only one. @throws when the ensemble has none of that name */
  member?(name: string): TensorRunner;
}

/** What `POST /v1/predict/{model}` carried, before the task looked at it. */
export type TaskRequest =
  | {
      readonly kind: "json";
      readonly inputs: unknown;
      readonly parameters: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: "raw";
      /** Media type in lower case, without parameters. */
      readonly mediaType: string;
      /** Parameters of the media type: `audio/l16; rate=16000`. */
      readonly mediaParameters: Readonly<Record<string, string>>;
      readonly bytes: Uint8Array<ArrayBuffer>;
      /** From the query string. */
      readonly parameters: Readonly<Record<string, unknown>>;
    };

/** Units that the model really saw; billing multiplies them by a price. */
export type Units = Readonly<
  Partial<
    Record<
      | "items"
      | "tokens"
      | "vectors"
      | "bytes"
      | "characters"
      | "samples"
      | "pixels"
      | "lines"
      | "elements",
      number
    >
  >
>;

export interface TaskResult {
  /** Encoded as JSON, in the shape that Hugging Face's clients expect of this task. */
  readonly output: unknown;
  readonly units: Units;
  /** What a shadow's answer is compared with, where `output` says too little: as the task's usual output. */
  readonly comparable?: unknown;
}

/** A manifest whose task is known. */
export type ManifestOf<T extends TaskType> = Manifest & { readonly task: TaskConfigOf<T> };

/**
 * From a person's input to tensors and back.
 * `decode` needs no model, so that bad input is refused before anything is loaded.
 */
export interface Task<T extends TaskType, Input, Resources> {
  /** Media types that a raw body may have. */
  readonly mediaTypes: readonly string[];
  /** @throws NearsideError with the offending field */
  decode(request: TaskRequest, manifest: ManifestOf<T>, limits: TaskLimits): Input;
  /** What `run` will count, as far as it is known before the model is there. */
  estimate(input: Input, manifest: ManifestOf<T>): Units;
  /** How many vectors the answer will be, as a corpus can be searched with; undefined: it will be something else. */
  vectors?(input: Input, manifest: ManifestOf<T>): number | undefined;
  /** Parses the assets once per loaded model. */
  prepare(
    assets: Readonly<Record<string, Uint8Array>>,
    manifest: ManifestOf<T>,
    tools: TaskTools,
  ): Resources;
  /** The same tensors wherever they are computed. @throws NearsideError as soon as it is known that a limit is passed */
  run(
    resources: Resources,
    input: Input,
    manifest: ManifestOf<T>,
    limits: TaskLimits,
  ): TensorRun<TaskResult>;
}
