import { expect } from "vitest";

import type { TaskConfigOf, TaskType } from "../../src/catalog/manifest.ts";
import type { ErrorCode } from "../../src/errors.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import type { ManifestOf, TaskRequest, TensorRunner } from "../../src/tasks/task.ts";
import { manifestOf } from "../support/manifests.ts";

type JsonRequest = Extract<TaskRequest, { kind: "json" }>;
type RawRequest = Extract<TaskRequest, { kind: "raw" }>;

export function json(inputs: unknown, parameters: JsonRequest["parameters"] = {}): JsonRequest {
  return { kind: "json", inputs, parameters };
}

export function raw(
  body: string | Uint8Array<ArrayBuffer>,
  mediaType: string,
  more: Partial<Pick<RawRequest, "mediaParameters" | "parameters">> = {},
): RawRequest {
  const bytes = Uint8Array.from(typeof body === "string" ? new TextEncoder().encode(body) : body);
  return { kind: "raw", mediaType, bytes, mediaParameters: {}, parameters: {}, ...more };
}

/** For `toThrow`: an error that the caller may see, with this code and this place. */
export function refusal(code: ErrorCode, field: string | undefined): unknown {
  return expect.objectContaining({ name: "NearsideError", code, field });
}

export function taskManifest<T extends TaskType>(
  task: TaskConfigOf<T>,
  maxBatch = 8,
): ManifestOf<T> {
  return { ...manifestOf({ limits: { maxBatch, maxBodyBytes: 1_048_576 } }), task };
}

export type Feeds = Readonly<Record<string, Tensor>>;

/** A runner that answers what the test says, and keeps what it was fed. */
export function recordingRunner(
  answer: (feeds: Feeds, run: number) => Record<string, Tensor>,
): TensorRunner & { readonly runs: readonly Feeds[] } {
  const runs: Feeds[] = [];
  return { runs, run: (feeds) => answer(feeds, runs.push(feeds) - 1) };
}

export function fp32(values: Iterable<number>, shape: readonly number[]): Tensor {
  return { datatype: "FP32", shape, data: Float32Array.from(values) };
}
