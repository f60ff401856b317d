import type { Manifest, TensorSpec } from "../catalog/manifest.ts";
import { elementCount, type Tensor } from "../runtime/tensor.ts";

/** What an isolate can hold of an answer beside its models, whatever the model's outputs are. */
export const MAX_TENSOR_BYTES = 16 * 1024 * 1024;
/** For names, shapes and parameters. */
const HEADER_BYTES = 64 * 1024;
/** JSON spends up to 25 on a number, and a space or two. */
const BYTES_PER_ELEMENT = 32;

/** As long as an answer to these inputs can be: what a dimension that is not known may be is the isolate's limit. */
export function answerLimit(
  { inputs, outputs }: Manifest,
  shapes: Readonly<Record<string, readonly number[]>>,
): number {
  const batch = batchOf(inputs, shapes) ?? 1;
  const sizes = outputs.map(({ datatype, shape }) => {
    const dimensions = shape.map((size, axis) => (axis === 0 && size === -1 ? batch : size));
    const isKnown = datatype !== "BYTES" && !dimensions.includes(-1);
    return isKnown ? elementCount(dimensions) * BYTES_PER_ELEMENT : MAX_TENSOR_BYTES;
  });
  return Math.min(
    MAX_TENSOR_BYTES,
    sizes.reduce((sum, size) => sum + size, HEADER_BYTES),
  );
}

/** How many inputs a request carries; undefined for a model that takes one. */
function batchOf(
  inputs: readonly TensorSpec[],
  shapes: Readonly<Record<string, readonly number[]>>,
): number | undefined {
  const sizes = inputs.flatMap(({ name, shape }) =>
    shape[0] === -1 ? (shapes[name]?.[0] ?? []) : [],
  );
  return sizes.length === 0 ? undefined : Math.max(...sizes);
}

/**
 * What is wrong with a model's outputs for these inputs; undefined: nothing. Where only the first dimension of an
 * output is free, it is the batch; of several the first is one that the inputs have.
 */
export function misfitOf(
  { inputs, outputs }: Manifest,
  feeds: Readonly<Record<string, Tensor>>,
  tensors: Readonly<Record<string, Tensor>>,
): string | undefined {
  const shapes = Object.fromEntries(
    Object.entries(feeds).map(([name, { shape }]) => [name, shape]),
  );
  const batch = batchOf(inputs, shapes);
  for (const { name, datatype, shape } of outputs) {
    const tensor = tensors[name];
    const fits =
      tensor?.datatype === datatype &&
      tensor.shape.length === shape.length &&
      shape.every((size, axis) => size === -1 || size === tensor.shape[axis]);
    if (!fits) return `${name}: ${tensor?.datatype} [${tensor?.shape}]`;
    if (shape[0] === -1 && batch !== undefined) {
      const allowed = shape.includes(-1, 1) ? Object.values(shapes).flat() : [batch];
      if (!allowed.includes(tensor.shape[0] ?? 0)) return `${name}: [${tensor.shape}] for ${batch}`;
    }
    if (!isFinite(tensor)) return `${name}: not finite`;
  }
  return undefined;
}

function isFinite({ datatype, data }: Tensor): boolean {
  if (datatype === "FP32" || datatype === "FP64")
    return (data as Float32Array).every(Number.isFinite);
  // An exponent of ones only is an infinity or none at all.
  if (datatype === "FP16") return data.every((bits) => (bits & 0x7c00) !== 0x7c00);
  if (datatype === "BF16") return data.every((bits) => (bits & 0x7f80) !== 0x7f80);
  return true;
}
