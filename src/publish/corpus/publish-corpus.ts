import { createHash } from "node:crypto";

import * as v from "valibot";

import { type CatalogSource, withCorpusVersion } from "../../catalog/catalog.ts";
import { changeCatalog, readCatalogSource } from "../../catalog/changes.ts";
import { findCorpusManifest } from "../../catalog/compile.ts";
import { CorpusManifest } from "../../catalog/corpus.ts";
import type { Manifest } from "../../catalog/manifest.ts";
import type { BuiltCorpus } from "../../corpus/build.ts";
import { FORMAT } from "../../corpus/format.ts";
import { blobKey, corpusManifestKey } from "../../store/layout.ts";
import type { PublishTarget } from "../bucket.ts";
import { PublishError } from "../error.ts";
import type { Progress } from "../publish.ts";
import { size } from "../size.ts";
import { buildCorpus } from "./build-corpus.ts";
import { type Embedder, embeddingManifest, openEmbedder } from "./embedder.ts";
import type { RowSource } from "./rows.ts";

/** Who lists new versions, in the catalog's history. */
const PUBLISHER = "publish";

export interface CorpusOptions {
  readonly name: string;
  /** The version of the model whose vectors these are. */
  readonly model: Manifest;
  /** The next one when absent. */
  readonly version?: number | undefined;
  /** Whether texts are kept, and answered with. */
  readonly texts: boolean;
  readonly description?: string | undefined;
  readonly licence?: string | undefined;
  /** A label to move to the new version. */
  readonly label?: string | undefined;
  /** For tests; the model itself when absent. */
  readonly embedder?: Embedder;
}

export interface PublishedCorpus {
  readonly manifest: CorpusManifest;
  /** Whether it was there already, with the same content: its description and licence are those it had. */
  readonly present: boolean;
}

/**
 * Publishes a version of a corpus: its blob, then its manifest (only if absent), then the catalog. Interrupted
 * anywhere and repeated, it ends in the same state.
 *
 * @throws PublishError `bad_corpus` naming the row, `already_published`
 */
export async function publishCorpus(
  source: RowSource,
  options: CorpusOptions,
  target: PublishTarget,
  onProgress: Progress,
): Promise<PublishedCorpus> {
  const { name, texts, label } = options;
  const model = embeddingManifest(options.model);
  const measured = await source.measure();
  const sourceDigest = digestOf([
    FORMAT,
    measured.digest,
    model.name,
    model.version,
    model.sourceDigest,
    texts,
  ]);
  let built: BuiltCorpus | undefined;
  for (;;) {
    const { version, present } = await chooseVersion(target, options, sourceDigest);
    const say: Progress = (line) => onProgress(`${name} ${version}: ${line}`);
    if (present !== undefined && (await hasBlob(target, present))) {
      say("already published");
      await addToCatalog(target, present, label);
      return { manifest: present, present: true };
    }
    const embedder = options.embedder ?? (await openEmbedder(model, target.bucket));
    const { dimensions } = model.task;
    built ??= await buildCorpus(source, { dimensions, texts, rows: measured.rows }, embedder, say);
    const { bytes, count, columns, memoryBytes } = built;
    const digest = createHash("sha256").update(bytes).digest("hex");
    // Its manifest stays: another blob would not be the one that it names.
    if (present !== undefined && present.snapshot.digest !== digest) {
      throw alreadyPublished(name, version);
    }
    const manifest = v.parse(CorpusManifest, {
      schema: 1,
      kind: "corpus",
      name,
      version,
      description: options.description ?? `${count} rows of ${source.name}`,
      licence: options.licence ?? "not stated",
      sourceDigest,
      model: { name: model.name, version: model.version },
      dimensions,
      count,
      snapshot: { digest, bytes: bytes.length, format: FORMAT },
      columns,
      texts,
      memory: { heapBytes: memoryBytes, taskBytes: 0 },
    });
    const upload = async (): Promise<void> => {
      if (await hasBlob(target, manifest)) return;
      say(`uploading ${size(bytes.length)}`);
      await target.bucket.put(blobKey(digest), bytes);
    };
    await upload();
    const key = corpusManifestKey(name, version);
    const text = JSON.stringify(manifest, undefined, 2);
    const onlyIf = { etagDoesNotMatch: "*" };
    const written = present ?? (await target.bucket.put(key, text, { onlyIf }));
    // Somebody who published at the same time was faster: the same, or another one.
    if (written === null) continue;
    // A blob that was there already may have been collected while no manifest named it.
    await upload();
    await addToCatalog(target, present ?? manifest, label);
    say("published");
    return { manifest: present ?? manifest, present: false };
  }
}

/** The version to publish, and what is there of it already. */
async function chooseVersion(
  { bucket }: PublishTarget,
  { name, version: wanted }: CorpusOptions,
  sourceDigest: string,
): Promise<{ readonly version: number; readonly present?: CorpusManifest }> {
  const isSame = (found: CorpusManifest | undefined): found is CorpusManifest =>
    found?.sourceDigest === sourceDigest;
  if (wanted !== undefined) {
    const there = await findCorpusManifest(bucket, name, wanted);
    if (there === undefined) return { version: wanted };
    if (!isSame(there)) throw alreadyPublished(name, wanted);
    return { version: wanted, present: there };
  }
  const { source } = await readCatalogSource(bucket);
  const versions = source.corpora?.[name]?.versions ?? [];
  const listed = await Promise.all(
    versions.toReversed().map((version) => findCorpusManifest(bucket, name, version)),
  );
  const same = listed.find(isSame);
  if (same !== undefined) return { version: same.version, present: same };
  // What an interrupted publication has left is listed nowhere.
  for (let version = (versions.at(-1) ?? 0) + 1; ; version++) {
    const there = await findCorpusManifest(bucket, name, version);
    if (isSame(there)) return { version, present: there };
    if (there === undefined) return { version };
  }
}

/** Lists the version in the catalog, if it is not yet, and writes what the edge reads. */
async function addToCatalog(
  target: PublishTarget,
  manifest: CorpusManifest,
  label: string | undefined,
): Promise<void> {
  const { name, version } = manifest;
  const change = `corpus ${name} ${version} is published`;
  const isListed = ({ corpora = {} }: CatalogSource): boolean =>
    corpora[name]?.versions.includes(version) === true &&
    (label === undefined || corpora[name].labels[label] === version);
  await changeCatalog(target, { by: PUBLISHER, change, now: Date.now() }, (source) =>
    isListed(source) ? undefined : withCorpusVersion(source, manifest, label),
  );
}

async function hasBlob(
  { bucket }: PublishTarget,
  { snapshot: { digest, bytes } }: CorpusManifest,
): Promise<boolean> {
  return (await bucket.head(blobKey(digest)))?.size === bytes;
}

function digestOf(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function alreadyPublished(name: string, version: number): PublishError {
  return new PublishError(
    "already_published",
    `${name} ${version} is already published with other content, and versions never change. ` +
      `Leave --version out, or say --version ${version + 1}.`,
  );
}
