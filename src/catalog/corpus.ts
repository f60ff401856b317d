import * as v from "valibot";

import { COLUMN_TYPES, MAX_DIMENSIONS } from "../corpus/format.ts";
import { BlobRef, Digest, ModelName, ModelVersion } from "./manifest.ts";

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const Bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A column of metadata, which a filter may name. */
export const CorpusColumn = v.object({
  name: v.string(),
  type: v.picklist(COLUMN_TYPES),
  /** How many different values it has. */
  values: Bytes,
});
export type CorpusColumn = v.InferOutput<typeof CorpusColumn>;

/**
 * The immutable statement of one published version of a corpus: `corpora/<name>/<version>/manifest.json`.
 * Unknown fields are let through, as in a model's.
 */
export const CorpusManifest = v.object({
  schema: v.literal(1),
  kind: v.literal("corpus"),
  name: ModelName,
  version: ModelVersion,
  description: v.string(),
  /** SPDX expression, or words, of what the corpus holds. */
  licence: v.string(),
  /** SHA-256 of everything that decided its content: its rows, the model, what is kept. */
  sourceDigest: Digest,
  /** Whose vectors it has: only a text's vector of the same version can be compared with them. */
  model: v.object({ name: ModelName, version: ModelVersion }),
  dimensions: v.pipe(Count, v.maxValue(MAX_DIMENSIONS)),
  count: Count,
  /** The memory of a search instance, in the format of `src/corpus/format.ts` with this number. */
  snapshot: v.object({ ...BlobRef.entries, format: Count }),
  columns: v.array(CorpusColumn),
  /** Whether its texts are kept, and answered with. */
  texts: v.boolean(),
  memory: v.object({ heapBytes: Bytes, taskBytes: Bytes }),
});
export type CorpusManifest = v.InferOutput<typeof CorpusManifest>;
