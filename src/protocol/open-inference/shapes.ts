import type { Manifest, TensorSpec } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import { ORIGIN_RUN_TOKENS, type TaskLimits } from "../../tasks/limits.ts";
import type { InferInput } from "./decode.ts";
import { malformed } from "./elements.ts";

/** What bounds a tensor's shape besides the model's signature. */
export type ShapeLimits = Pick<TaskLimits, "maxBatch" | "placement">;

/** A tensor may have more axes than any operator uses; a request may not make us loop for long. */
const MAX_RANK = 8;

/**
 * Tokens of one run of tensors here, padding included. MiniLM takes 0.3 s for them, in which the isolate answers
 * nobody else, and its heap, which never shrinks, grows from 38 to 54 MB; 2,048 took 1.2 to 1.6 s and 80 MB or
 * more (measured).
 */
const EDGE_TENSOR_TOKENS = 512;

/**
 * The shape of an input, if it fits the model.
 *
 * @throws NearsideError `invalid_request`, `invalid_tensor`
 */
export function decodeShape(shape: unknown, spec: TensorSpec, field: string): number[] {
  const isShape =
    Array.isArray(shape) &&
    shape.length <= MAX_RANK &&
    shape.every((size) => Number.isInteger(size) && size >= 0 && size <= 0x7fff_ffff);
  if (!isShape) throw malformed(field, "must be an array of non-negative integers");
  const fits =
    shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => size === -1 || size === shape[axis]);
  if (fits) return shape as number[];
  throw new NearsideError(
    "invalid_tensor",
    `"${spec.name}" takes shape [${spec.shape.join(", ")}], not [${shape.join(", ")}]` +
      (spec.shape.includes(-1) ? " (-1 is any size)." : "."),
    { field },
  );
}

/** @throws NearsideError `batch_too_large` */
export function refuseBatch(
  spec: TensorSpec,
  shape: readonly number[],
  { maxBatch }: ShapeLimits,
  field: string,
): void {
  if (spec.shape[0] !== -1 || (shape[0] ?? 0) <= maxBatch) return;
  throw new NearsideError("batch_too_large", `One request may carry ${maxBatch} inputs at most.`, {
    field,
  });
}

/**
 * Refuses what a graph can't compute, or not in the time that a request may take.
 *
 * @param shape one that fits the model
 * @param field where the shape stands in the request
 * @throws NearsideError `invalid_tensor`, `batch_too_large`, `input_too_long`
 */
export function checkSizes(
  spec: TensorSpec,
  shape: readonly number[],
  { task }: Pick<Manifest, "task">,
  { placement }: ShapeLimits,
  field: string,
): void {
  // Graphs trap on them, or answer something that has another shape than it should.
  if (spec.shape.some((size, axis) => size === -1 && shape[axis] === 0)) {
    throw new NearsideError(
      "invalid_tensor",
      `"${spec.name}" has no elements in the shape [${shape.join(", ")}]: an axis has a size of 1 at least.`,
      { field },
    );
  }
  const [rows = 1, length = 1] = shape;
  // What tasks call a row is the last axis of two; of a state, for example, nothing is known.
  const bound = spec.shape.length === 2 && spec.shape[1] === -1 ? rowOf(task) : undefined;
  if (bound === undefined) return;
  const { most, unit } = bound;
  if (length > most) {
    throw new NearsideError(
      "input_too_long",
      `A row of "${spec.name}" has ${length} ${unit}; the model reads ${most}.`,
      { field },
    );
  }
  const mostTokens = placement === "edge" ? EDGE_TENSOR_TOKENS : ORIGIN_RUN_TOKENS;
  if (unit === "tokens" && rows * length > mostTokens) {
    throw new NearsideError(
      "batch_too_large",
      `"${spec.name}" has ${rows} rows of ${length} tokens; ${placement === "edge" ? "here " : ""}one request may have ${mostTokens} tokens, padding included. Send ${Math.max(1, Math.floor(mostTokens / length))} such rows at most in each.`,
      { field },
    );
  }
}

/** How long a row of a task's tensors may be, wherever they are computed: longer ones the task never makes. */
function rowOf(
  task: Manifest["task"],
): { readonly most: number; readonly unit: string } | undefined {
  switch (task.type) {
    case "embedding":
      return { most: task.maxTokens, unit: "tokens" };
    case "byte-classification":
      return { most: task.maxBytes, unit: "bytes" };
    case "speech-activity":
      return { most: task.contextSamples + task.stepSamples, unit: "samples" };
    default:
      return undefined;
  }
}

/**
 * Axes of one name have one size, whichever inputs they are of: what a graph does with others it finds out only
 * halfway through.
 *
 * @throws NearsideError `invalid_tensor`
 */
export function checkAxes(
  inputs: readonly Pick<InferInput, "name" | "shape">[],
  { inputs: specs }: Pick<Manifest, "inputs">,
): void {
  const known = new Map<string, { readonly input: string; readonly size: number }>();
  for (const [index, { name, shape }] of inputs.entries()) {
    const { axes = [] } = specs.find((spec) => spec.name === name) ?? {};
    for (const [axis, called] of axes.entries()) {
      const size = shape[axis];
      if (called === null || size === undefined) continue;
      const other = known.get(called) ?? { input: name, size };
      known.set(called, other);
      if (other.size === size) continue;
      throw new NearsideError(
        "invalid_tensor",
        `"${name}" has a size of ${size} on the axis "${called}", where "${other.input}" has ${other.size}.`,
        { field: `inputs[${index}].shape` },
      );
    }
  }
}
