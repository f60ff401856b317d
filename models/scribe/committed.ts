import { readFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { doublePrecision } from "./algebra.ts";
import { type Shape, unpackWeights, type Weights } from "./weights.ts";

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** weights.json: what weights.bin was made of, and how good it is. */
const Statement = v.object({
  shape: v.object({ vocabulary: Count, embedding: Count, units: Count }),
  sha256: v.string(),
  bitsPerCharacter: v.object({ heldOut: v.number() }),
});
export type Statement = v.InferOutput<typeof Statement>;

export interface CommittedWeights {
  readonly weights: Weights;
  readonly shape: Shape;
  readonly bytes: Uint8Array;
  readonly statement: Statement;
}

/** What train.ts has written. */
export async function readCommittedWeights(): Promise<CommittedWeights> {
  const bytes = await readFile(path.join(import.meta.dirname, "weights.bin"));
  const json = await readFile(path.join(import.meta.dirname, "weights.json"), "utf8");
  const statement = v.parse(Statement, JSON.parse(json));
  const { shape } = statement;
  return { weights: unpackWeights(bytes, shape, doublePrecision), shape, bytes, statement };
}
