import { readFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { readCatalogSource } from "../catalog/changes.ts";
import { readManifest } from "../catalog/compile.ts";
import { STABLE } from "../catalog/catalog.ts";
import type { PublishTarget } from "../publish/bucket.ts";
import { publishCorpus } from "../publish/corpus/publish-corpus.ts";
import { rowsFrom } from "../publish/corpus/rows.ts";
import type { Progress } from "../publish/publish.ts";
import { ROOT } from "../publish/workspace.ts";

/** The corpus that the local stack brings, so that a search answers at once. */
export const SAMPLE_CORPUS = "sentences";

const MODEL = "minilm";

/** Publishes MiniLM's sample sentences as a corpus: the first time that takes a second. */
export async function publishSampleCorpus(
  target: PublishTarget,
  onProgress: Progress,
): Promise<void> {
  const { source } = await readCatalogSource(target.bucket);
  const version = source.models[MODEL]?.labels[STABLE];
  if (version === undefined) return;
  const file = path.join(ROOT, "models", MODEL, "samples/sentences.json");
  const sentences = v.parse(v.array(v.string()), JSON.parse(await readFile(file, "utf8")));
  const rows = sentences.map((text, index) => ({
    id: `sentence-${index + 1}`,
    text,
    metadata: { words: text.split(/\s+/).length, question: text.trimEnd().endsWith("?") },
  }));
  await publishCorpus(
    rowsFrom(SAMPLE_CORPUS, rows),
    {
      name: SAMPLE_CORPUS,
      model: await readManifest(target.bucket, MODEL, version),
      texts: true,
      description: "MiniLM's sample sentences",
      licence: "Apache-2.0",
      // What ships may be built anew under its old number.
      label: STABLE,
    },
    target,
    onProgress,
  );
}
