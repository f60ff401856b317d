import { createHash } from "node:crypto";
import path from "node:path";

import * as v from "valibot";

import {
  type Catalog,
  CatalogSource,
  EMPTY_CATALOG,
  compileCatalog,
  withVersion,
} from "../catalog/catalog.ts";
import { type BlobRef, Manifest } from "../catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../catalog/reader.ts";
import { CATALOG_SOURCE_KEY, blobKey, manifestKey } from "../store/layout.ts";
import type { PublishBucket, PublishTarget } from "./bucket.ts";
import { type BuiltModel, buildModel } from "./build.ts";
import { externalize } from "./onnx/externalize.ts";
import { signature } from "./onnx/signature.ts";
import { runtimeIdentity } from "./runtime.ts";
import { takeSnapshot } from "./snapshot.ts";
import { readFixtures, readModelSource, sourceDigest } from "./source.ts";

const WEIGHTS_NAME = "weights.bin";

/**
 * JS memory of a task's assets per byte of them: a tokenizer.json of 0.7 MB becomes maps of 8.2 MB
 * (measured: heap before and after, minilm's tokenizer, Node 24).
 */
const ASSET_EXPANSION = 12;

/** How often a catalog that somebody else has just changed is read again. */
const CATALOG_ATTEMPTS = 10;

export type Progress = (line: string) => void;

export interface PublishOptions {
  /**
   * Puts other content in the place of a version that is there: for the models that ship, in a bucket of
   * this machine, whose sources have changed since. Anywhere else versions never change.
   */
  readonly replace?: boolean;
}

/**
 * Builds a model folder and publishes it: blobs, then the manifest (only if absent), then the catalog.
 * Interrupted anywhere and repeated, it ends in the same state.
 *
 * @throws Error when this version is already published with other content
 */
export async function publishFolder(
  folder: string,
  target: PublishTarget,
  onProgress: Progress,
  { replace = false }: PublishOptions = {},
): Promise<Manifest> {
  const { name, version } = await readModelSource(folder);
  const present = await readManifest(target.bucket, name, version);
  const digest = await sourceDigest(folder);
  if (present?.sourceDigest === digest) {
    onProgress(`${name} ${version}: already published`);
    await addToCatalog(target, present);
    return present;
  }
  if (present && !replace) throw alreadyPublished(folder, name, version);
  if (present) onProgress(`${name} ${version}: its sources have changed`);

  const built = await buildModel(folder, { onProgress });
  const { manifest, blobs } = await describe(folder, built);
  for (const [key, bytes] of blobs) {
    if ((await target.bucket.head(key))?.size !== bytes.length) {
      onProgress(`${name} ${version}: uploading ${(bytes.length / 1e6).toFixed(1)} MB`);
      await target.bucket.put(key, bytes);
    }
  }
  const written = await target.bucket.put(
    manifestKey(name, version),
    JSON.stringify(manifest, undefined, 2),
    replace ? {} : { onlyIf: { etagDoesNotMatch: "*" } },
  );
  if (written === null) {
    // Somebody who published at the same time was faster; perhaps it was the same.
    const theirs = await readManifest(target.bucket, name, version);
    if (theirs?.sourceDigest !== digest) throw alreadyPublished(folder, name, version);
  }
  await addToCatalog(target, manifest);
  onProgress(`${name} ${version}: published`);
  return manifest;
}

interface Publication {
  readonly manifest: Manifest;
  /** By key in the bucket. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

async function describe(folder: string, built: BuiltModel): Promise<Publication> {
  const { graph, weights } = externalize(built.onnx, WEIGHTS_NAME);
  const { inputs, outputs } = signature(built.onnx);
  const blobs = new Map<string, Uint8Array>();
  const add = (bytes: Uint8Array): BlobRef => {
    const digest = createHash("sha256").update(bytes).digest("hex");
    blobs.set(blobKey(digest), bytes);
    return { digest, bytes: bytes.length };
  };
  // In the order of a cached build, so that the manifest is the same bytes.
  const names = Object.keys(built.assets).toSorted();
  const assets = Object.fromEntries(
    names.map((name) => [name, add(built.assets[name] ?? new Uint8Array())]),
  );
  const assetBytes = Object.values(assets).reduce((sum, { bytes }) => sum + bytes, 0);
  const { bytes: snapshot, memoryBytes } = await takeSnapshot(
    { graph, ...(weights && { weights: { name: WEIGHTS_NAME, data: weights } }) },
    await readFixtures(folder),
  );
  const { digest: runtime } = await runtimeIdentity();
  const manifest = v.parse(Manifest, {
    schema: 1,
    ...built.source,
    sourceDigest: built.sourceDigest,
    graph: add(graph),
    ...(weights && { weights: { name: WEIGHTS_NAME, ...add(weights) } }),
    snapshot: { ...add(snapshot), runtime },
    assets,
    inputs,
    outputs,
    memory: { heapBytes: memoryBytes, taskBytes: assetBytes * ASSET_EXPANSION },
  });
  return { manifest, blobs };
}

/** Adds the version to `catalog.json`, then writes what the edge reads. */
async function addToCatalog(target: PublishTarget, manifest: Manifest): Promise<void> {
  for (let attempt = 0; attempt < CATALOG_ATTEMPTS; attempt++) {
    const { source, condition } = await readCatalogSource(target.bucket);
    const listed = source.models[manifest.name]?.versions.includes(manifest.version) ?? false;
    const next = listed ? source : withVersion(source, manifest);
    const written =
      listed ||
      (await target.bucket.put(CATALOG_SOURCE_KEY, JSON.stringify(next, undefined, 2), {
        onlyIf: condition,
      })) !== null;
    if (!written) continue;
    const compiled = await compile(target.bucket, next);
    await target.namespace.put(CATALOG_KV_KEY, JSON.stringify(compiled));
    // KV has no conditions: whoever finds a newer catalog after writing may have written over it.
    const { source: latest } = await readCatalogSource(target.bucket);
    if (latest.number === next.number) return;
  }
  throw new Error("The catalog kept changing while this version was added to it. Run it again.");
}

/** `catalog.json`, and the condition under which it is still the same. */
async function readCatalogSource(bucket: PublishBucket) {
  const stored = await bucket.get(CATALOG_SOURCE_KEY);
  if (stored === null) return { source: EMPTY_CATALOG, condition: { etagDoesNotMatch: "*" } };
  const source = v.parse(CatalogSource, JSON.parse(await stored.text()));
  return { source, condition: { etagMatches: stored.etag } };
}

async function compile(bucket: PublishBucket, source: CatalogSource): Promise<Catalog> {
  const manifests = new Map<string, Manifest>();
  for (const [name, { versions }] of Object.entries(source.models)) {
    for (const version of versions) {
      const manifest = await readManifest(bucket, name, version);
      if (manifest === undefined)
        throw new Error(`${manifestKey(name, version)} is missing from the bucket.`);
      manifests.set(manifestKey(name, version), manifest);
    }
  }
  return compileCatalog(source, (name, version) => {
    const manifest = manifests.get(manifestKey(name, version));
    if (manifest === undefined) throw new Error(`${manifestKey(name, version)} was not read.`);
    return manifest;
  });
}

async function readManifest(
  bucket: PublishBucket,
  name: string,
  version: number,
): Promise<Manifest | undefined> {
  const stored = await bucket.get(manifestKey(name, version));
  return stored === null ? undefined : v.parse(Manifest, JSON.parse(await stored.text()));
}

function alreadyPublished(folder: string, name: string, version: number): Error {
  return new Error(
    `${name} ${version} is already published with other content, and versions never change. ` +
      `Raise "version" in ${path.join(folder, "model.json")}, or start over locally with \`npm start -- --fresh\`.`,
  );
}
