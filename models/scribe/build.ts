import type { ModelBuild } from "../../src/publish/source.ts";
import { readCommittedWeights } from "./committed.ts";
import { scribeGraph } from "./graph.ts";

/** The weights are committed: training takes minutes, and reads packages that change for other reasons. */
export const packages: readonly string[] = [];

export async function build(): Promise<ModelBuild> {
  const { weights, shape } = await readCommittedWeights();
  return { onnx: scribeGraph(weights, shape), assets: {} };
}
