import type { CorpusManifest } from "../../src/catalog/corpus.ts";
import { CorpusBuilder, type CorpusRow } from "../../src/corpus/build.ts";
import { FORMAT } from "../../src/corpus/format.ts";
import { putBlob } from "./publish-graph.ts";

/** Puts a corpus of rows into the bucket, where there is no Node. */
export async function putCorpus(
  bucket: R2Bucket,
  rows: readonly CorpusRow[],
  overrides: Partial<CorpusManifest> = {},
): Promise<CorpusManifest> {
  const dimensions = rows[0]?.vector.length ?? 0;
  const { texts = false } = overrides;
  const builder = new CorpusBuilder({ dimensions, texts });
  for (const row of rows) builder.add(row);
  const { bytes, count, columns, memoryBytes } = builder.finish();
  return {
    schema: 1,
    kind: "corpus",
    name: "docs",
    version: 1,
    description: "A corpus of the tests.",
    licence: "CC0-1.0",
    sourceDigest: "0".repeat(64),
    model: { name: "words", version: 1 },
    dimensions,
    count,
    snapshot: { ...(await putBlob(bucket, bytes)), format: FORMAT },
    columns: [...columns],
    texts,
    memory: { heapBytes: memoryBytes, taskBytes: 0 },
    ...overrides,
  };
}
