import { GraphBuilder } from "../../../publish/onnx/graph-builder.ts";

/** Seeded weights in [-scale, scale), spread as after training. */
function weights(count: number, scale: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state / 2 ** 31) * scale;
  });
}

/** An image classifier: two convolutions, pooling, a dense layer, softmax. */
function convolutional(): Uint8Array {
  const graph = new GraphBuilder("convolutional");
  graph.input("image", "FP32", ["batch", 3, "height", "width"]);
  const first = graph.floats("conv_1", weights(16 * 3 * 9, 0.3, 1), [16, 3, 3, 3]);
  const second = graph.floats("conv_2", weights(32 * 16 * 9, 0.1, 2), [32, 16, 3, 3]);
  const options = { strides: [2, 2], pads: [1, 1, 1, 1] };
  const low = graph.op("Relu", [graph.op("Conv", ["image", first], options)]);
  const high = graph.op("Relu", [graph.op("Conv", [low, second], options)]);
  const flat = graph.op("Flatten", [graph.op("GlobalAveragePool", [high])]);
  const dense = graph.floats("dense", weights(32 * 64, 0.5, 3), [32, 64]);
  const logits = graph.op("Gemm", [flat, dense, graph.floats("bias", weights(64, 0.1, 4), [64])]);
  graph.output(graph.op("Softmax", [logits], { axis: -1 }, "probabilities"), "FP32", ["batch", 64]);
  return graph.toBytes();
}

/** A text classifier: an embedding table, a GRU, a dense layer. */
function recurrent(): Uint8Array {
  const graph = new GraphBuilder("recurrent");
  graph.input("tokens", "INT64", ["time", 1]);
  const table = graph.floats("table", weights(500 * 32, 1, 5), [500, 32]);
  const embedded = graph.op("Gather", [table, "tokens"]);
  const inputWeights = graph.floats("gru_w", weights(3 * 48 * 32, 0.2, 6), [1, 3 * 48, 32]);
  const stateWeights = graph.floats("gru_r", weights(3 * 48 * 48, 0.2, 7), [1, 3 * 48, 48]);
  graph.node("GRU", [embedded, inputWeights, stateWeights], ["", "last"], { hidden_size: 48 });
  const state = graph.op("Squeeze", ["last", graph.int64s("axis_0", [0])]);
  const dense = graph.floats("dense", weights(48 * 40, 0.5, 8), [48, 40]);
  graph.output(graph.op("MatMul", [state, dense], {}, "logits"), "FP32", [1, 40]);
  return graph.toBytes();
}

/** Attention over a sequence of vectors, with residual and normalisation. */
function attentive(): Uint8Array {
  const graph = new GraphBuilder("attentive");
  const width = 64;
  graph.input("sequence", "FP32", ["batch", "time", width]);
  const project = (name: string, seed: number): string =>
    graph.op("MatMul", [
      "sequence",
      graph.floats(name, weights(width * width, 0.2, seed), [width, width]),
    ]);
  const key = graph.op("Transpose", [project("key", 10)], { perm: [0, 2, 1] });
  const scores = graph.op("MatMul", [project("query", 9), key]);
  const scaled = graph.op("Div", [scores, graph.floats("root", [Math.sqrt(width)])]);
  const shares = graph.op("Softmax", [scaled], { axis: -1 });
  const mixed = graph.op("Add", [graph.op("MatMul", [shares, project("value", 11)]), "sequence"]);
  const scale = graph.floats("scale", new Float32Array(width).fill(1), [width]);
  const bias = graph.floats("shift", new Float32Array(width), [width]);
  graph.op("LayerNormalization", [mixed, scale, bias], { axis: -1 }, "encoded");
  graph.output("encoded", "FP32", ["batch", "time", width]);
  return graph.toBytes();
}

/** Models that Nearside has never seen, by file name, and how they are to be published. */
export const STRANGERS: readonly {
  readonly name: string;
  readonly quantize: "int8" | "none";
  readonly make: () => Uint8Array;
}[] = [
  { name: "convolutional", quantize: "none", make: convolutional },
  { name: "recurrent", quantize: "int8", make: recurrent },
  { name: "attentive", quantize: "int8", make: attentive },
];
