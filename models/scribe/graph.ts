import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { doublePrecision, transpose, type Vector } from "./algebra.ts";
import type { Shape, Weights } from "./weights.ts";

/**
 * The network as ONNX. One run reads a whole prompt or a single token, from zeros or from where another
 * run ended.
 *
 * - `token`: INT64 `[batch, length]`; `state`: FP32 `[1, batch, units]`
 * - `logits`: FP32 `[batch, length, vocabulary]`, of the token after each; `next_state`: like `state`
 */
export function scribeGraph(weights: Weights, shape: Shape): Uint8Array<ArrayBuffer> {
  const { vocabulary, embedding, units } = shape;
  const gates = 3 * units;
  const graph = new GraphBuilder("scribe");
  const token = graph.input("token", "INT64", ["batch", "length"]);
  const state = graph.input("state", "FP32", [1, "batch", units]);

  const timeMajor = graph.op("Transpose", [token], { perm: [1, 0] });
  const table = graph.floats("embedding", weights.embedding, [vocabulary, embedding]);
  const embedded = graph.op("Gather", [table, timeMajor]);
  const input = turned(weights.input, embedding, gates);
  const recurrent = turned(weights.recurrent, units, gates);
  // The gates' biases before and after the reset: of the latter only the candidate's is of use.
  const biases = [
    ...weights.inputBias,
    ...Array<number>(2 * units).fill(0),
    ...weights.candidateBias,
  ];
  graph.node(
    "GRU",
    [
      embedded,
      graph.floats("input", input, [1, gates, embedding]),
      graph.floats("recurrent", recurrent, [1, gates, units]),
      graph.floats("biases", biases, [1, 2 * gates]),
      "",
      state,
    ],
    ["states", "next_state"],
    { hidden_size: units, linear_before_reset: 1 },
  );
  const states = graph.op("Squeeze", ["states", graph.int64s("direction", [1])]);
  const batchMajor = graph.op("Transpose", [states], { perm: [1, 0, 2] });
  const output = graph.floats("output", weights.output, [units, vocabulary]);
  const product = graph.op("MatMul", [batchMajor, output]);
  const bias = graph.floats("output_bias", weights.outputBias, [vocabulary]);
  graph.output(graph.op("Add", [product, bias], {}, "logits"), "FP32", [
    "batch",
    "length",
    vocabulary,
  ]);
  graph.output("next_state", "FP32", [1, "batch", units]);
  return graph.toBytes();
}

function turned(matrix: Vector, rows: number, columns: number): Vector {
  const result = doublePrecision.vector(rows * columns);
  transpose(matrix, result, rows, columns);
  return result;
}
