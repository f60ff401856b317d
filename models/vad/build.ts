import { readFile } from "node:fs/promises";
import path from "node:path";

import { bytesOf } from "../../src/publish/onnx/model.ts";
import { type ModelBuild, packageFolder } from "../../src/publish/source.ts";

const PACKAGE = "@ricky0123/vad-web";

export const packages: readonly string[] = [PACKAGE];

/** The authors' file as it is: 2.3 MB in float32, of LSTM and Conv, which dynamic int8 does not touch. */
export async function build(): Promise<ModelBuild> {
  const file = path.join(packageFolder(PACKAGE), "dist", "silero_vad_v6.onnx");
  return { onnx: bytesOf(await readFile(file)), assets: {} };
}
