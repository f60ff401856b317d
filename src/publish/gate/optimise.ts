import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import path from "node:path";

import { InferenceSession } from "onnxruntime-node";

import { bytesOf } from "../onnx/model.ts";
import { GENERATED } from "../workspace.ts";

/**
 * Folds constants and removes what computes nothing, so that the quantizer finds weights that an exporter
 * has put behind Constant, Identity or Transpose nodes. Only "basic": the next level writes operators of
 * ONNX Runtime's own, of which some (NCHWc) can't run in the WASM build.
 */
export async function optimise(onnx: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const parent = path.join(GENERATED, "gate");
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(path.join(parent, "optimise-"));
  try {
    const optimizedModelFilePath = path.join(folder, "model.onnx");
    const session = await InferenceSession.create(onnx, {
      graphOptimizationLevel: "basic",
      optimizedModelFilePath,
      logSeverityLevel: 4,
    });
    await session.release();
    return bytesOf(await readFile(optimizedModelFilePath));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
