import type { Manifest } from "../../catalog/manifest.ts";
import { type Tensor, tensorOf } from "../../runtime/tensor.ts";
import { encodeBinaryResponse } from "./binary.ts";
import type { BinaryBody } from "./binary-body.ts";
import type { RequestedOutput } from "./parameters.ts";

/** An answer of the protocol, whole. */
export interface InferAnswer extends BinaryBody {
  /** What the model computed, for whoever compares it; read from the body where it stands there. */
  tensors(): Record<string, Tensor>;
}

/**
 * Encodes what a model computed.
 *
 * @param tensors may be views of memory that is about to change: nothing of them is kept
 */
export function encodeInferAnswer(
  { name, version, task }: Manifest,
  id: string | undefined,
  outputs: readonly RequestedOutput[],
  tensors: Readonly<Record<string, Tensor>>,
): InferAnswer {
  const computed = outputs.flatMap((output) => {
    const tensor = tensors[output.name];
    return tensor === undefined ? [] : [{ ...output, tensor }];
  });
  const { body, headerLength, places } = encodeBinaryResponse({
    model: name,
    version: String(version),
    id,
    outputs: computed,
    labels: "labels" in task ? task.labels : undefined,
  });
  let part = 0;
  const kept = computed.map(({ name: output, binary, classification, tensor }) => {
    const place = binary ? places[part++] : undefined;
    const { datatype, shape } = tensor;
    if (datatype === "BYTES") return [output, tensor] as const;
    if (place !== undefined && !classification) {
      return [output, { datatype, shape, bytes: place }] as const;
    }
    return [output, { ...tensor, data: tensor.data.slice() } as Tensor] as const;
  });
  return {
    body,
    headerLength,
    tensors: () =>
      Object.fromEntries(
        kept.map(([output, one]) => [output, "bytes" in one ? tensorOf(one) : one]),
      ),
  };
}
