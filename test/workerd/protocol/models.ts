import { compileCatalog } from "../../../src/catalog/catalog.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";

export const COLUMNS = ["length", "width"];
export const LABELS = ["long", "wide", "square"];

/** Classifies a row of two numbers: long, wide, or square when neither is well above the other. */
export function tabularGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("tabular");
  graph.input("features", "FP32", ["batch", 2]);
  graph.floats("W", [1, -1, 0, -1, 1, 0], [2, 3]);
  graph.floats("b", [0, 0, 1], [3]);
  graph.op("Softmax", [graph.op("Gemm", ["features", "W", "b"])], { axis: -1 }, "probabilities");
  graph.op("ArgMax", ["probabilities"], { axis: -1, keepdims: 0 }, "label");
  graph.output("probabilities", "FP32", ["batch", 3]);
  graph.output("label", "INT64", ["batch"]);
  return graph.toBytes();
}

export const TABULAR_TASK: Manifest["task"] = {
  type: "tabular-classification",
  columns: COLUMNS,
  labels: LABELS,
};

/** Classifies bytes by their mean: low, or high above 64. */
export function bytesGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("bytes");
  graph.input("bytes", "INT32", [1, "length"]);
  const numbers = graph.op("Cast", ["bytes"], { to: 1 });
  const mean = graph.op("ReduceMean", [numbers], { axes: [1], keepdims: 1 });
  const scaled = graph.op("Gemm", [
    mean,
    graph.floats("W", [0, 1 / 64], [1, 2]),
    graph.floats("b", [1, 0], [2]),
  ]);
  graph.op("Softmax", [scaled], { axis: -1 }, "probabilities");
  graph.output("probabilities", "FP32", [1, 2]);
  return graph.toBytes();
}

export const BYTES_TASK: Manifest["task"] = {
  type: "byte-classification",
  maxBytes: 100,
  minBytes: 2,
  labels: ["low", "high"],
};

/** Writes a catalog of models with several versions; `stable` is each model's first. */
export async function putVersions(
  namespace: KVNamespace,
  manifests: readonly Manifest[],
  labels: Readonly<Record<string, Record<string, number>>> = {},
): Promise<void> {
  const models: Record<string, { versions: number[]; labels: Record<string, number> }> = {};
  for (const { name, version } of manifests) {
    const model = (models[name] ??= {
      versions: [],
      labels: { stable: version, ...labels[name] },
    });
    model.versions.push(version);
  }
  const catalog = compileCatalog({ schema: 1, number: 1, models }, (name, version) => {
    const found = manifests.find((one) => one.name === name && one.version === version);
    if (found === undefined) throw new Error(`${name} ${version} was not given.`);
    return found;
  });
  await namespace.put(CATALOG_KV_KEY, JSON.stringify(catalog));
}
