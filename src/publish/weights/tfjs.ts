import * as v from "valibot";

import { elementCount } from "../../runtime/tensor.ts";

const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const WeightsEntry = v.object({
  name: v.string(),
  shape: v.array(Size),
  dtype: v.string(),
  quantization: v.optional(
    v.object({ dtype: v.string(), scale: v.number(), min: v.optional(v.number(), 0) }),
  ),
});

const GraphModel = v.object({
  weightsManifest: v.array(v.object({ weights: v.array(WeightsEntry) })),
});

/** uint8 that stand for `value × scale + min`. */
export interface AffineUint8 {
  readonly kind: "affine-uint8";
  readonly shape: readonly number[];
  readonly data: Uint8Array<ArrayBuffer>;
  readonly scale: number;
  readonly min: number;
}

export interface Strings {
  readonly kind: "strings";
  readonly shape: readonly number[];
  readonly data: readonly string[];
}

export type TfjsWeights = AffineUint8 | Strings;

const WIDTH_BYTES = new Map([
  ["bool", 1],
  ["uint8", 1],
  ["uint16", 2],
  ["int32", 4],
  ["float32", 4],
]);

/**
 * Reads the weights of a TensorFlow.js model: `weightsManifest` of model.json names them in the order in
 * which they stand in the binary files, one after the other without padding.
 * Format: https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts (WeightsManifestEntry)
 *
 * @param shards the binary files, in the manifest's order, joined
 * @returns strings and affinely quantized uint8 by name; the others (indices, shapes) are passed over
 */
export function readTfjsWeights(
  modelJson: unknown,
  shards: Uint8Array,
): ReadonlyMap<string, TfjsWeights> {
  const { weightsManifest } = v.parse(GraphModel, modelJson);
  const view = new DataView(shards.buffer, shards.byteOffset, shards.byteLength);
  const weights = new Map<string, TfjsWeights>();
  let at = 0;
  for (const { name, shape, dtype, quantization } of weightsManifest.flatMap((g) => g.weights)) {
    const count = elementCount(shape);
    const stored = quantization?.dtype ?? dtype;
    if (stored === "string") {
      const data: string[] = [];
      for (let index = 0; index < count; index++) {
        const length = view.getUint32(at, true);
        data.push(new TextDecoder().decode(shards.subarray(at + 4, at + 4 + length)));
        at += 4 + length;
      }
      weights.set(name, { kind: "strings", shape, data });
      continue;
    }
    const width = WIDTH_BYTES.get(stored);
    if (width === undefined) throw new Error(`"${name}" is stored as ${stored}, which is unknown.`);
    if (quantization?.dtype === "uint8") {
      const data = new Uint8Array(shards.subarray(at, at + count));
      const { scale, min } = quantization;
      weights.set(name, { kind: "affine-uint8", shape, data, scale, min });
    }
    at += count * width;
  }
  if (at !== shards.byteLength) {
    throw new Error(`The weights end at byte ${at} of ${shards.byteLength}.`);
  }
  return weights;
}
