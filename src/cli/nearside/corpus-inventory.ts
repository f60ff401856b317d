import * as v from "valibot";

import type { CatalogSource } from "../../catalog/catalog.ts";
import { CorpusManifest } from "../../catalog/corpus.ts";
import type { PublishBucket } from "../../publish/bucket.ts";
import { UserError } from "../user-error.ts";
import { labelsAmong, listAll } from "./inventory.ts";
import { didYouMean } from "./nearest.ts";

/** A version of a corpus that the bucket holds a manifest of. */
export interface StoredCorpus {
  readonly name: string;
  readonly version: number;
  readonly key: string;
  /** As it is stored. */
  readonly text: string;
  /** Absent when the text is none that can be read. */
  readonly manifest?: CorpusManifest;
}

const MANIFEST_KEY = /^corpora\/([^/]+)\/([1-9][0-9]*)\/manifest\.json$/;

/** Every version of every corpus in the bucket, or of one, by name and number. */
export async function storedCorpora(bucket: PublishBucket, name?: string): Promise<StoredCorpus[]> {
  const found: Promise<StoredCorpus | undefined>[] = [];
  const prefix = name === undefined ? "corpora/" : `corpora/${name}/`;
  for await (const { key } of listAll(bucket, prefix)) {
    const [, corpus, version] = MANIFEST_KEY.exec(key) ?? [];
    if (corpus !== undefined) found.push(readCorpus(bucket, key, corpus, Number(version)));
  }
  return (await Promise.all(found))
    .filter((one) => one !== undefined)
    .toSorted((a, b) => a.name.localeCompare(b.name) || a.version - b.version);
}

/** The versions of one corpus. @throws UserError when there are none, with the name that was meant */
export async function corpusVersions(
  bucket: PublishBucket,
  name: string,
  where: string,
): Promise<StoredCorpus[]> {
  const versions = await storedCorpora(bucket, name);
  if (versions.length > 0) return versions;
  const names = new Set((await storedCorpora(bucket)).map((one) => one.name));
  throw new UserError(`There is no corpus "${name}" in ${where}.${didYouMean(name, [...names])}`);
}

async function readCorpus(
  bucket: PublishBucket,
  key: string,
  name: string,
  version: number,
): Promise<StoredCorpus | undefined> {
  const stored = await bucket.get(key);
  if (stored === null) return undefined;
  const text = await stored.text();
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), CorpusManifest), text);
  const isOwn = parsed.success && parsed.output.name === name && parsed.output.version === version;
  return { name, version, key, text, ...(isOwn && { manifest: parsed.output }) };
}

/** The labels of a version of a corpus, `stable` first. */
export function corpusLabels(
  { corpora = {} }: CatalogSource,
  name: string,
  version: number,
): string[] {
  return labelsAmong(corpora[name]?.labels ?? {}, version);
}
