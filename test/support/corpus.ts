import { createHash } from "node:crypto";

import type { CorpusManifest } from "../../src/catalog/corpus.ts";
import { CorpusBuilder, type CorpusRow } from "../../src/corpus/build.ts";
import { FORMAT, scratchOf } from "../../src/corpus/format.ts";
import { scanModule } from "../../src/publish/corpus/kernel-module.ts";
import { type LoadedCorpus, loadedFrom } from "../../src/corpus/load.ts";
import { Scanner } from "../../src/corpus/scan.ts";
import { viewOf } from "../../src/corpus/view.ts";
import { compile } from "../../src/publish/runtime.ts";

const SCAN = compile(scanModule());

/** Bytes as they lie in the memory of a search instance. */
export function memoryOf(bytes: Uint8Array, dimensions: number): WebAssembly.Memory {
  const { pages } = scratchOf(bytes.length, dimensions);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(memory.buffer).set(bytes);
  return memory;
}

/** A search over these vectors, in the order of rows. */
export function scannerOf(vectors: readonly ArrayLike<number>[]): Scanner {
  const dimensions = vectors[0]?.length ?? 0;
  const builder = new CorpusBuilder({ dimensions, texts: false });
  for (const [row, vector] of vectors.entries()) builder.add({ id: String(row), vector });
  const { bytes } = builder.finish();
  const memory = memoryOf(bytes, dimensions);
  return new Scanner(viewOf(memory.buffer as ArrayBuffer, bytes.length), memory, SCAN);
}

export interface BuiltForTest {
  readonly manifest: CorpusManifest;
  readonly bytes: Uint8Array<ArrayBuffer>;
  load(): LoadedCorpus;
}

/** A corpus of rows with its manifest. */
export function corpusOf(
  rows: readonly CorpusRow[],
  overrides: Partial<CorpusManifest> = {},
): BuiltForTest {
  const dimensions = rows[0]?.vector.length ?? 0;
  const texts = overrides.texts ?? false;
  const builder = new CorpusBuilder({ dimensions, texts });
  for (const row of rows) builder.add(row);
  const { bytes, count, columns, memoryBytes } = builder.finish();
  const digest = createHash("sha256").update(bytes).digest("hex");
  const manifest: CorpusManifest = {
    schema: 1,
    kind: "corpus",
    name: "docs",
    version: 1,
    description: "A corpus of the tests.",
    licence: "CC0-1.0",
    sourceDigest: "0".repeat(64),
    model: { name: "model", version: 1 },
    dimensions,
    count,
    snapshot: { digest, bytes: bytes.length, format: FORMAT },
    columns: [...columns],
    texts,
    memory: { heapBytes: memoryBytes, taskBytes: 0 },
    ...overrides,
  };
  return { manifest, bytes, load: () => loadedFrom(manifest, memoryOf(bytes, dimensions), SCAN) };
}
