import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { DATATYPES } from "../../src/runtime/tensor.ts";

/** A dense layer as its authors quantized it: a row of weights, with a scale of its own, for each output. */
export interface DenseLayer {
  readonly rows: readonly ScaledBytes[];
  readonly bias: ScaledBytes;
}

/** Each value is `data[i] / scale`. */
export interface ScaledBytes {
  readonly data: Int8Array;
  readonly scale: number;
}

/**
 * lande (github.com/fabiospampinato/lande): the language of a text from how often its commonest n-grams
 * stand in it.
 *
 * - `frequencies`: FP32 `[batch, 620]`
 * - `probabilities`: FP32 `[batch, 50]`
 *
 * Its authors keep eight bits of each weight, so int8 loses nothing. They add up in float64, as JavaScript
 * does, and so does the graph: float32 moves scores by up to 3e-5 (measured), and saves no time worth naming.
 */
export function landeGraph(layers: readonly DenseLayer[]): Uint8Array {
  const graph = new GraphBuilder("lande");
  const [single, double] = [{ to: DATATYPES.FP32.onnx }, { to: DATATYPES.FP64.onnx }];
  let values = graph.input("frequencies", "FP32", ["batch", inputsOf(layers[0])]);
  for (const [index, layer] of layers.entries()) {
    const { rows, bias } = layer;
    if (index > 0) values = graph.op("Relu", [values]);
    const bytes = graph.initializer(
      `weights_${index}`,
      "INT8",
      [inputsOf(layer), rows.length],
      columnsOf(layer),
    );
    const weights = graph.op("Div", [graph.op("Cast", [bytes], double), scalesOf(index, layer)]);
    const biases = graph.floats(
      `bias_${index}`,
      Array.from(bias.data, (value) => value / bias.scale),
      [rows.length],
    );
    const products = graph.op("MatMul", [graph.op("Cast", [values], double), rounded(weights)]);
    const sums = graph.op("Add", [products, graph.op("Cast", [biases], double)]);
    values = graph.op("Cast", [sums], single);
  }
  const probabilities = graph.op("Softmax", [values], { axis: -1 }, "probabilities");
  graph.output(probabilities, "FP32", ["batch", layers.at(-1)?.rows.length ?? 0]);
  return graph.toBytes();

  function scalesOf(index: number, { rows }: DenseLayer): string {
    const scales = Float64Array.from(rows, ({ scale }) => scale);
    return graph.initializer(`scales_${index}`, "FP64", [rows.length], scales);
  }

  /** Weights are float32 to their authors. */
  function rounded(weights: string): string {
    return graph.op("Cast", [graph.op("Cast", [weights], single)], double);
  }
}

function inputsOf(layer: DenseLayer | undefined): number {
  return layer?.rows[0]?.data.length ?? 0;
}

/** [inputs, outputs], as MatMul takes it. */
function columnsOf(layer: DenseLayer): Int8Array<ArrayBuffer> {
  const width = layer.rows.length;
  const columns = new Int8Array(inputsOf(layer) * width);
  for (const [output, { data }] of layer.rows.entries()) {
    for (const [input, value] of data.entries()) columns[input * width + output] = value;
  }
  return columns;
}
