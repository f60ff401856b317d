import type { Algebra, Vector } from "./algebra.ts";

/** Sizes of the network. */
export interface Shape {
  readonly vocabulary: number;
  readonly embedding: number;
  readonly units: number;
}

/**
 * The parameters, row-major. The three gates stand side by side in the columns of what is `gates` wide:
 * update (z), reset (r), candidate (h).
 */
export interface Weights {
  /** Everything below, one after the other. */
  readonly all: Vector;
  /** [vocabulary, embedding] */
  readonly embedding: Vector;
  /** [embedding, gates] */
  readonly input: Vector;
  /** [gates] */
  readonly inputBias: Vector;
  /** [units, gates] */
  readonly recurrent: Vector;
  /** [units]: joins the candidate before it is reset. */
  readonly candidateBias: Vector;
  /** [units, vocabulary] */
  readonly output: Vector;
  /** [vocabulary] */
  readonly outputBias: Vector;
}

/** Weights of zero. */
export function emptyWeights(shape: Shape, algebra: Pick<Algebra, "vector">): Weights {
  const { vocabulary, embedding, units } = shape;
  const gates = 3 * units;
  const all = algebra.vector(weightCount(shape));
  let end = 0;
  const next = (length: number): Vector => all.subarray(end, (end += length));
  return {
    all,
    embedding: next(vocabulary * embedding),
    input: next(embedding * gates),
    inputBias: next(gates),
    recurrent: next(units * gates),
    candidateBias: next(units),
    output: next(units * vocabulary),
    outputBias: next(vocabulary),
  };
}

export function weightCount({ vocabulary, embedding, units }: Shape): number {
  const [gates, logits] = [3 * units, vocabulary];
  return (
    vocabulary * embedding + (embedding + 1) * gates + units * (gates + 1) + (units + 1) * logits
  );
}

/** Uniform, with a variance that keeps activations of one size from layer to layer; biases are zero. */
export function initialWeights(shape: Shape, algebra: Algebra, random: () => number): Weights {
  const weights = emptyWeights(shape, algebra);
  const fill = (vector: Vector, limit: number): void => {
    for (let index = 0; index < vector.length; index++) {
      vector[index] = limit * (2 * random() - 1);
    }
  };
  fill(weights.embedding, 1);
  fill(weights.input, Math.sqrt(3 / shape.embedding));
  fill(weights.recurrent, Math.sqrt(3 / shape.units));
  fill(weights.output, Math.sqrt(3 / shape.units) / 4);
  return weights;
}

/** Half-precision floats, little-endian, in the order of `Weights`. */
export function packWeights({ all }: Weights): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(2 * all.length));
  for (const [index, value] of all.entries()) view.setFloat16(2 * index, value, true);
  return new Uint8Array(view.buffer);
}

/** @throws RangeError when they are not of this shape */
export function unpackWeights(
  bytes: Uint8Array,
  shape: Shape,
  algebra: Pick<Algebra, "vector">,
): Weights {
  const weights = emptyWeights(shape, algebra);
  if (bytes.byteLength !== 2 * weights.all.length) {
    throw new RangeError(`${bytes.byteLength} bytes are not ${weights.all.length} halves.`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let index = 0; index < weights.all.length; index++) {
    weights.all[index] = view.getFloat16(2 * index, true);
  }
  return weights;
}
