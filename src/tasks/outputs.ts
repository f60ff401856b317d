import { NearsideError } from "../errors.ts";
import type { Tensor, TensorOf } from "../runtime/tensor.ts";

/**
 * One output of the graph, with its type.
 *
 * @throws NearsideError `internal` when the graph is not what its manifest says
 */
export function output<D extends Tensor["datatype"]>(
  outputs: Readonly<Record<string, Tensor>>,
  name: string,
  datatype: D,
  elements: number,
): TensorOf<D>["data"] {
  const tensor = outputs[name];
  if (tensor !== undefined && isOf(tensor, datatype) && tensor.data.length === elements) {
    return tensor.data;
  }
  throw new NearsideError("internal", "The model's output does not fit its manifest.", {
    cause: `${name}: ${tensor?.datatype} [${tensor?.shape}], expected ${elements} of ${datatype}`,
  });
}

function isOf<D extends Tensor["datatype"]>(
  tensor: Tensor,
  datatype: D,
): tensor is TensorOf<D> & Tensor {
  return tensor.datatype === datatype;
}

export interface LabelScore {
  readonly label: string;
  readonly score: number;
}

/**
 * The best `count` labels, highest score first; equal scores stand in the order of the labels.
 *
 * @param scores holds the row's scores from `offset` on, one per label
 * @throws NearsideError `inference_failed` when a score is not a number
 */
export function rankLabels(
  labels: readonly string[],
  scores: Float32Array,
  offset: number,
  count: number,
): LabelScore[] {
  // Insertion into a short list: a sort of all 54 languages costs four times as much.
  const best: LabelScore[] = [];
  for (const [index, label] of labels.entries()) {
    const score = scores[offset + index] ?? Number.NaN;
    if (!Number.isFinite(score)) throw notANumber();
    let at = best.length;
    while (at > 0 && (best[at - 1]?.score ?? 0) < score) at--;
    if (at >= count) continue;
    best.splice(at, 0, { label, score });
    if (best.length > count) best.pop();
  }
  return best;
}

/** The input drove the computation out of the range of floating point numbers. */
export function notANumber(): NearsideError {
  return new NearsideError(
    "inference_failed",
    "The model's answer to this input is not a number; are the values far outside the usual range?",
    { field: "inputs" },
  );
}
