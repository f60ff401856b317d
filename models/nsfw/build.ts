import { createRequire } from "node:module";
import path from "node:path";

import { quantizeDynamicInt8 } from "../../src/publish/quantize.ts";
import { quantizeConvolutions } from "../../src/publish/quantize-conv.ts";
import { feedsOf, type ModelBuild, packageFolder, readFixtures } from "../../src/publish/source.ts";
import { readTfjsWeights } from "../../src/publish/weights/tfjs.ts";
import { nsfwGraph } from "./graph.ts";

const PACKAGE = "nsfwjs";
const MODEL = "dist/models/mobilenet_v2";

export const packages: readonly string[] = [PACKAGE];

/**
 * int8, calibrated on the fixtures. Beside float32, over 97 crops of photographs, paintings and screens:
 * 3.0 MB for 10.3, 0.9 of the time, no probability further than 0.043 away, and 96 keep their class
 * (measured in onnxruntime-web's WASM).
 */
export async function build(): Promise<ModelBuild> {
  const reference = await floatModel();
  const { cases } = await readFixtures(import.meta.dirname);
  const { onnx } = await quantizeConvolutions(reference, cases.map(feedsOf));
  return { onnx: quantizeDynamicInt8(onnx).onnx, reference, assets: {} };
}

/** The authors' model in float32. */
export async function floatModel(): Promise<Uint8Array> {
  const folder = path.join(packageFolder(PACKAGE), MODEL);
  // CommonJS whatever the package says: a module that exports the JSON, and one that exports base64.
  const require = createRequire(path.join(folder, "package.json"));
  const modelJson: unknown = require("./model.min.js");
  const shard = Buffer.from(require("./group1-shard1of1.min.js") as string, "base64");
  return nsfwGraph(modelJson, readTfjsWeights(modelJson, shard));
}
