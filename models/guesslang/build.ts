import { readFile } from "node:fs/promises";
import path from "node:path";

import { type ModelBuild, packageFolder, readModelSource } from "../../src/publish/source.ts";
import {
  type AffineUint8,
  readTfjsWeights,
  type TfjsWeights,
} from "../../src/publish/weights/tfjs.ts";
import { guesslangGraph, type GuesslangWeights } from "./graph.ts";

const PACKAGE = "@vscode/vscode-languagedetection";

/** Names in the authors' graph, or how they end. */
const EMBEDDING = "input_layer/content_embedding/embedding_weights";
const LINEAR = "linear/linear_model/content/weights";
const LINEAR_BIAS = "linear/linear_model/bias_weights";
const DENSE = ["dnn/hiddenlayer_0", "dnn/hiddenlayer_1", "dnn/logits"];
const LABELS = "head/ExpandDims/input";

export const packages: readonly string[] = [PACKAGE];

export async function build(): Promise<ModelBuild> {
  return { onnx: guesslangGraph(await authorsWeights()), assets: {} };
}

/** The parameters as the authors' package holds them. */
export async function authorsWeights(): Promise<GuesslangWeights> {
  const files = path.join(packageFolder(PACKAGE), "model");
  const modelJson: unknown = JSON.parse(await readFile(path.join(files, "model.json"), "utf8"));
  const shard = await readFile(path.join(files, "group1-shard1of1.bin"));
  const weights = readTfjsWeights(modelJson, shard);
  await checkLabels(weights.get(LABELS));
  return {
    embedding: quantized(weights, EMBEDDING),
    linear: quantized(weights, LINEAR),
    linearBias: quantized(weights, LINEAR_BIAS),
    dense: DENSE.map((name) => ({
      kernel: quantized(weights, `${name}/kernel`),
      bias: quantized(weights, `${name}/bias`),
    })),
  };
}

/** The quantized tensor whose name ends so. */
function quantized(weights: ReadonlyMap<string, TfjsWeights>, end: string): AffineUint8 {
  for (const [name, tensor] of weights) {
    if (name.endsWith(end) && tensor.kind === "affine-uint8") return tensor;
  }
  throw new Error(`${PACKAGE} has no weights "${end}".`);
}

/** model.json names the classes for everybody to read; they must be the authors', in their order. */
async function checkLabels(labels: TfjsWeights | undefined): Promise<void> {
  const { task } = await readModelSource(import.meta.dirname);
  const said = task.type === "byte-classification" ? task.labels : [];
  if (labels?.kind === "strings" && labels.data.join() === said.join()) return;
  throw new Error(`model.json lists other labels than ${PACKAGE}: ${labels?.data.join(", ")}.`);
}
