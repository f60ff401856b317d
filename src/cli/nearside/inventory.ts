import * as v from "valibot";

import { CatalogSource, EMPTY_CATALOG } from "../../catalog/catalog.ts";
import { type BlobRef, Manifest } from "../../catalog/manifest.ts";
import type { BucketObject, PublishBucket } from "../../publish/bucket.ts";
import { CATALOG_SOURCE_KEY, manifestKey } from "../../store/layout.ts";
import { UserError } from "../user-error.ts";
import { didYouMean } from "./nearest.ts";

/** A version that the bucket holds a manifest of. */
export interface StoredVersion {
  readonly name: string;
  readonly version: number;
  /** As it is stored. */
  readonly text: string;
  /** Absent when the text is none that can be read. */
  readonly manifest?: Manifest;
  /** Why there is no manifest: the end of a sentence. */
  readonly problem?: string;
}

const MANIFEST_KEY = /^models\/([^/]+)\/([1-9][0-9]*)\/manifest\.json$/;

/** Every object whose key starts with `prefix`, in the order of keys. */
export async function* listAll(
  bucket: PublishBucket,
  prefix: string,
): AsyncGenerator<BucketObject, void> {
  let cursor: string | undefined;
  do {
    const page = await bucket.list({ prefix, ...(cursor !== undefined && { cursor }) });
    yield* page.objects;
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
}

/** Every version in the bucket, whether the catalog knows it or not, by name and number. */
export async function storedVersions(
  bucket: PublishBucket,
  name?: string,
): Promise<StoredVersion[]> {
  const found: Promise<StoredVersion | undefined>[] = [];
  for await (const { key } of listAll(bucket, name === undefined ? "models/" : `models/${name}/`)) {
    const [, model, version] = MANIFEST_KEY.exec(key) ?? [];
    if (model !== undefined) found.push(readVersion(bucket, model, Number(version)));
  }
  return (await Promise.all(found))
    .filter((one) => one !== undefined)
    .toSorted((a, b) => a.name.localeCompare(b.name) || a.version - b.version);
}

/** The versions of one model. @throws UserError when there are none, with the name that was meant */
export async function versionsOf(
  bucket: PublishBucket,
  name: string,
  where: string,
): Promise<StoredVersion[]> {
  const versions = await storedVersions(bucket, name);
  if (versions.length > 0) return versions;
  const names = new Set((await storedVersions(bucket)).map((one) => one.name));
  throw new UserError(`There is no model "${name}" in ${where}.${didYouMean(name, [...names])}`);
}

async function readVersion(
  bucket: PublishBucket,
  name: string,
  version: number,
): Promise<StoredVersion | undefined> {
  const stored = await bucket.get(manifestKey(name, version));
  if (stored === null) return undefined;
  const text = await stored.text();
  const parsed = v.safeParse(Manifest, parseJson(text));
  if (!parsed.success) return { name, version, text, problem: "is no manifest that can be read" };
  const manifest = parsed.output;
  if (manifest.name !== name || manifest.version !== version) {
    const problem = `calls itself ${manifest.name} ${manifest.version}`;
    return { name, version, text, problem };
  }
  return { name, version, text, manifest };
}

/** What the edge is told of. @throws UserError when it can't be read */
export async function catalogSource(bucket: PublishBucket): Promise<CatalogSource> {
  const stored = await bucket.get(CATALOG_SOURCE_KEY);
  if (stored === null) return EMPTY_CATALOG;
  const parsed = v.safeParse(CatalogSource, parseJson(await stored.text()));
  if (parsed.success) return parsed.output;
  throw new UserError(`${CATALOG_SOURCE_KEY} in the bucket is no catalog that can be read.`);
}

/** The labels of a version, `stable` first. */
export function labelsOf(catalog: CatalogSource, name: string, version: number): string[] {
  return labelsAmong(catalog.models[name]?.labels ?? {}, version);
}

/** Those labels that name a version, `stable` first. */
export function labelsAmong(labels: Readonly<Record<string, number>>, version: number): string[] {
  return Object.entries(labels)
    .flatMap(([label, labelled]) => (labelled === version ? [label] : []))
    .toSorted((a, b) => Number(b === "stable") - Number(a === "stable") || a.localeCompare(b));
}

/** Bytes in the bucket: what two parts share counts once. */
export function totalBytes(parts: readonly BlobRef[]): number {
  const sizes = new Map(parts.map(({ digest, bytes }) => [digest, bytes]));
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** Undefined for what is no JSON, which no schema takes. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
