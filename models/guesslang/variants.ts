import { readModelSource } from "../../src/publish/source.ts";
import { authorsWeights } from "./build.ts";
import { coarser } from "./coarser.ts";
import { guesslangGraph } from "./graph.ts";

/** Guesslang with its weights in so many levels: the same graph, another build. */
export async function guesslangVariant(levels: number): Promise<Uint8Array> {
  return guesslangGraph(coarser(await authorsWeights(), levels));
}

export const guesslangSource = () => readModelSource(import.meta.dirname);
