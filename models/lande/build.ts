import { type ModelBuild, readModelSource } from "../../src/publish/source.ts";
import { type Authors, PACKAGE, readAuthors } from "./authors.ts";
import { type DenseLayer, landeGraph, type ScaledBytes } from "./graph.ts";

export const packages: readonly string[] = [PACKAGE];

export async function build(): Promise<ModelBuild> {
  const authors = await readAuthors();
  await checkLabels(authors);
  const { unigrams, bigrams, trigrams, quadgrams } = authors.ngrams;
  const ngrams = [...unigrams, ...bigrams, ...trigrams, ...quadgrams];
  return {
    onnx: landeGraph(authors.layers.flatMap(denseLayer)),
    assets: { ngrams: new TextEncoder().encode(JSON.stringify(ngrams)) },
  };
}

function denseLayer({ type, _filters, _biases }: Authors["layers"][number]): DenseLayer[] {
  if (type !== "dense" || _filters === undefined || _biases === undefined) return [];
  return [{ rows: _filters.map(scaledBytes), bias: scaledBytes(_biases) }];
}

/** toygrad's `f8`: `1<scale>|<base64>`, each byte 127 more than the value times the scale. */
const F8 = /^1(\d+(?:\.\d+)?)\|([\w+/]+=*)$/;

function scaledBytes(encoded: string): ScaledBytes {
  const [, scale, base64 = ""] = F8.exec(encoded) ?? [];
  const values = [...Buffer.from(base64, "base64")].map((byte) => byte - 127);
  if (scale === undefined || values.some((value) => value > 127)) {
    throw new Error(`${PACKAGE} keeps its weights in another form: ${encoded.slice(0, 20)}…`);
  }
  return { data: Int8Array.from(values), scale: Number(scale) };
}

/** model.json names the languages for everybody to read; they must be the authors', in their order. */
async function checkLabels({ labels }: Authors): Promise<void> {
  const { task } = await readModelSource(import.meta.dirname);
  const said = task.type === "language-identification" ? task.labels : [];
  if (labels.join() === said.join()) return;
  throw new Error(`model.json lists other languages than ${PACKAGE}: ${labels.join(", ")}.`);
}
