import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { manifestKey } from "../store/layout.ts";
import { Catalog, type CatalogSource, compileCatalog } from "./catalog.ts";
import type { CatalogBucket, CatalogStore } from "./changes.ts";
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
  const manifests = new Map<string, Manifest>();
  const versions = Object.entries(source.models).flatMap(([name, model]) =>
    model.versions.map((version) => ({ name, version })),
  );
  const lost = (
    await Promise.all(
      versions.map(async ({ name, version }) => {
        const key = manifestKey(name, version);
        const manifest = await findManifest(bucket, name, version);
        if (manifest === undefined) return [{ name, version }];
        manifests.set(key, manifest);
        return [];
      }),
    )
  ).flat();
  if (lost.length > 0) {
    const published = await publishedCatalog(namespace);
    for (const { name, version } of lost) {
      const manifest = published?.models[name]?.versions[String(version)];
      if (manifest === undefined) throw missing(name, version);
      manifests.set(manifestKey(name, version), manifest);
    }
  }
  return compileCatalog(source, (name, version) => {
    const manifest = manifests.get(manifestKey(name, version));
    if (manifest === undefined) throw missing(name, version);
    return manifest;
  });
}

/** @throws NearsideError `manifest_missing` */
export async function readManifest(
  bucket: CatalogBucket,
  name: string,
  version: number,
): Promise<Manifest> {
  const manifest = await findManifest(bucket, name, version);
  if (manifest !== undefined) return manifest;
  throw missing(name, version);
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

function missing(name: string, version: number): NearsideError {
  return new NearsideError(
    "manifest_missing",
    `${manifestKey(name, version)} is missing from the bucket: publish ${name} ${version} again.`,
  );
}
