import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { corpusManifestKey, manifestKey } from "../store/layout.ts";
import { Catalog, type CatalogSource, compileCatalog } from "./catalog.ts";
import type { CatalogBucket, CatalogStore } from "./changes.ts";
import { CorpusManifest } from "./corpus.ts";
import { Manifest } from "./manifest.ts";
import { CATALOG_KV_KEY } from "./reader.ts";

/**
 * The source with every manifest in it. A manifest that the bucket has lost is taken from what the edge
 * reads now: one version's damage must not keep an operator from switching it off.
 *
 * @throws NearsideError `manifest_missing` when it is nowhere
 */
export async function compile(
  { bucket, namespace }: Pick<CatalogStore, "bucket"> & Partial<CatalogStore>,
  source: CatalogSource,
): Promise<Catalog> {
  let published: Promise<Catalog | undefined> | undefined;
  const readPublished = () => (published ??= publishedCatalog(namespace));
  const models = await manifestsOf(source.models, manifestKey, async (name, version) => {
    const manifest = await findManifest(bucket, name, version);
    return manifest ?? (await readPublished())?.models[name]?.versions[String(version)];
  });
  const corpora = await manifestsOf(
    source.corpora ?? {},
    corpusManifestKey,
    async (name, version) => {
      const manifest = await findCorpusManifest(bucket, name, version);
      return manifest ?? (await readPublished())?.corpora?.[name]?.versions[String(version)];
    },
  );
  return compileCatalog(source, models, corpora);
}

/** @returns what finds the manifest of every version that is listed. @throws NearsideError `manifest_missing` */
async function manifestsOf<M>(
  listed: Readonly<Record<string, { readonly versions: readonly number[] }>>,
  keyOf: (name: string, version: number) => string,
  find: (name: string, version: number) => Promise<M | undefined>,
): Promise<(name: string, version: number) => M> {
  const manifests = new Map<string, M>();
  const versions = Object.entries(listed).flatMap(([name, one]) =>
    one.versions.map((version) => ({ name, version })),
  );
  await Promise.all(
    versions.map(async ({ name, version }) => {
      const manifest = await find(name, version);
      if (manifest === undefined) throw missing(keyOf(name, version), name, version);
      manifests.set(keyOf(name, version), manifest);
    }),
  );
  return (name, version) => {
    const manifest = manifests.get(keyOf(name, version));
    if (manifest === undefined) throw missing(keyOf(name, version), name, version);
    return manifest;
  };
}

/** @throws NearsideError `manifest_missing` */
export async function readManifest(
  bucket: CatalogBucket,
  name: string,
  version: number,
): Promise<Manifest> {
  const manifest = await findManifest(bucket, name, version);
  if (manifest !== undefined) return manifest;
  throw missing(manifestKey(name, version), name, version);
}

/** The manifest of a corpus' version; undefined where the bucket has none. */
export async function findCorpusManifest(
  bucket: CatalogBucket,
  name: string,
  version: number,
): Promise<CorpusManifest | undefined> {
  const stored = await bucket.get(corpusManifestKey(name, version));
  return stored === null ? undefined : v.parse(CorpusManifest, JSON.parse(await stored.text()));
}

async function findManifest(
  bucket: CatalogBucket,
  name: string,
  version: number,
): Promise<Manifest | undefined> {
  const stored = await bucket.get(manifestKey(name, version));
  if (stored === null) return undefined;
  return v.parse(Manifest, JSON.parse(await stored.text()));
}

async function publishedCatalog(
  namespace: Partial<CatalogStore["namespace"]> | undefined,
): Promise<Catalog | undefined> {
  const text = await namespace?.get?.(CATALOG_KV_KEY);
  return typeof text === "string" ? v.parse(Catalog, JSON.parse(text)) : undefined;
}

function missing(key: string, name: string, version: number): NearsideError {
  return new NearsideError(
    "manifest_missing",
    `${key} is missing from the bucket: publish ${name} ${version} again.`,
  );
}
