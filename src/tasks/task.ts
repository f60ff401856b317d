import type { Manifest, TaskConfigOf, TaskType } from "../catalog/manifest.ts";
import type { Tensor } from "../runtime/tensor.ts";

/** The part of a session that a task needs: synchronous, because WASM computes on the calling thread. */
export interface TensorRunner {
  /**
   * @param feeds every input of the graph, by name
   * @returns every output of the graph, by name; the arrays are the caller's own copies
   */
  run(feeds: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
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
  Partial<Record<"items" | "tokens" | "bytes" | "samples" | "elements", number>>
>;

export interface TaskResult {
  /** Encoded as JSON, in the shape that Hugging Face's clients expect of this task. */
  readonly output: unknown;
  readonly units: Units;
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
  decode(request: TaskRequest, manifest: ManifestOf<T>): Input;
  /** Parses the assets once per loaded model. */
  prepare(assets: Readonly<Record<string, Uint8Array>>, manifest: ManifestOf<T>): Resources;
  run(
    session: TensorRunner,
    resources: Resources,
    input: Input,
    manifest: ManifestOf<T>,
  ): TaskResult;
}
