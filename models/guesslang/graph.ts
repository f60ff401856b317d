import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { DATATYPES } from "../../src/runtime/tensor.ts";
import type { AffineUint8 } from "../../src/publish/weights/tfjs.ts";
import { BUCKETS, bigramBuckets } from "./bigram-buckets.ts";

/** The trained parameters, as their authors quantized them. */
export interface GuesslangWeights {
  /** [buckets, 70]: a vector for each bigram. */
  readonly embedding: AffineUint8;
  /** [buckets, 54]: each bigram's say in each language. */
  readonly linear: AffineUint8;
  readonly linearBias: AffineUint8;
  /** Kernel [inputs, outputs] and bias of each dense layer, in order. */
  readonly dense: readonly { readonly kernel: AffineUint8; readonly bias: AffineUint8 }[];
}

/**
 * Guesslang (github.com/yoeo/guesslang) as one graph: its wide-and-deep classifier over the byte bigrams
 * of a file, with TensorFlow's hash of "a b" folded into a table.
 *
 * - `bytes`: INT32 `[1, length]`, each 0 to 255
 * - `probabilities`: FP32 `[1, 54]`
 *
 * The model was trained on bytes, and so bytes are hashed here. TensorFlow.js, in which the authors' npm
 * package runs it, decodes each bigram as text and so takes every byte of a letter outside ASCII for
 * U+FFFD (measured: with a table made so, outputs differ from theirs by 3e-7 on such text, too).
 *
 * Tables stay uint8 and are scaled after the sum over the bigrams: sums of bytes are exact in float32.
 */
export function guesslangGraph(weights: GuesslangWeights): Uint8Array {
  const graph = new GraphBuilder("guesslang");
  const bytes = graph.input("bytes", "INT32", [1, "length"]);

  // The bigram at place i is bytes[i] and bytes[i + 1].
  const [one, two] = [graph.int64s("one", [1]), graph.int64s("two", [2])];
  const zero = graph.int64s("zero", [0]);
  const length = graph.op("Slice", [graph.op("Shape", [bytes]), one, two]);
  const bigrams = graph.op("Max", [graph.op("Sub", [length, one]), zero]);
  const first = graph.op("Slice", [bytes, zero, bigrams, one]);
  const second = graph.op("Slice", [bytes, one, length, one]);
  const radix = graph.initializer("radix", "INT32", [], Int32Array.of(256));
  const pairs = graph.op("Add", [graph.op("Mul", [first, radix]), second]);
  const table = graph.initializer("bigram_buckets", "UINT16", [65_536], bigramBuckets());
  const buckets = graph.op("Cast", [graph.op("Gather", [table, pairs])], {
    to: DATATYPES.INT32.onnx,
  });
  const count = graph.op("Cast", [bigrams], { to: DATATYPES.FP32.onnx });

  // deep = mean of vectors, wide = sum of votes; for Σ (q·scale + min) only Σ q depends on the bytes.
  const embedded = sumOfRows("embedding", weights.embedding);
  const atLeastOne = graph.op("Max", [count, graph.floats("least_count", [1])]);
  const share = graph.op("Div", [count, atLeastOne]);
  let hidden = scaled(
    "embedding",
    weights.embedding,
    graph.op("Div", [embedded, atLeastOne]),
    share,
  );
  for (const [index, { kernel, bias }] of weights.dense.entries()) {
    const product = graph.op("MatMul", [hidden, dequantized(`kernel_${index}`, kernel)]);
    hidden = graph.op("Add", [product, dequantized(`bias_${index}`, bias)]);
    if (index < weights.dense.length - 1) hidden = graph.op("Relu", [hidden]);
  }
  const votes = scaled("linear", weights.linear, sumOfRows("linear", weights.linear), count);
  const wide = graph.op("Add", [votes, dequantized("linear_bias", weights.linearBias)]);
  const logits = graph.op("Add", [hidden, wide]);
  const probabilities = graph.op("Softmax", [logits], { axis: -1 }, "probabilities");
  graph.output(probabilities, "FP32", [1, weights.linear.shape[1] ?? 0]);
  return graph.toBytes();

  /** Σ of the table's rows, unscaled: [1, width]. */
  function sumOfRows(name: string, { shape, data }: AffineUint8): string {
    if (shape[0] !== BUCKETS) throw new Error(`"${name}" has ${shape[0]} rows, not ${BUCKETS}.`);
    const rows = graph.op("Gather", [graph.initializer(name, "UINT8", shape, data), buckets]);
    const floats = graph.op("Cast", [rows], { to: DATATYPES.FP32.onnx });
    return graph.op("ReduceSum", [floats, one], { keepdims: 0 });
  }

  /** sum × scale + terms × min */
  function scaled(name: string, { scale, min }: AffineUint8, sum: string, terms: string): string {
    const product = graph.op("Mul", [sum, graph.floats(`${name}_scale`, [scale])]);
    const offset = graph.op("Mul", [terms, graph.floats(`${name}_min`, [min])]);
    return graph.op("Add", [product, offset]);
  }

  function dequantized(name: string, { shape, data, scale, min }: AffineUint8): string {
    return graph.floats(
      name,
      Array.from(data, (value) => value * scale + min),
      shape,
    );
  }
}
