import * as v from "valibot";

import { withVersion } from "../catalog/catalog.ts";
import { changeCatalog } from "../catalog/changes.ts";
import { type GateReport, Manifest, type ModelSource } from "../catalog/manifest.ts";
import { partsOf } from "../catalog/parts.ts";
import { blobKey, manifestKey } from "../store/layout.ts";
import type { PublishBucket, PublishTarget } from "./bucket.ts";
import { type BuiltEnsemble, buildFolder } from "./build.ts";
import { describe } from "./describe.ts";
import { PublishError } from "./error.ts";
import {
  type Fixtures,
  readEnsembleFixtures,
  readFixtures,
  readModelSource,
  sourceDigest,
} from "./source.ts";
import { size } from "./size.ts";

/** Who lists new versions, in the catalog's history. */
const PUBLISHER = "publish";

export type Progress = (line: string) => void;

export interface PublishOptions {
  /**
   * Puts other content in the place of a version that is there: for the models that ship, in a bucket of
   * this machine, whose sources have changed since. Anywhere else versions never change.
   */
  readonly replace?: boolean;
  /** Also publishes what origins run, for models whose `originBuild` names it: it may be several times as large. */
  readonly originBuild?: boolean;
}

interface Unpublished {
  readonly source: ModelSource;
  /** SHA-256 of everything that decided the build. */
  readonly sourceDigest: string;
  readonly assets: Readonly<Record<string, Uint8Array>>;
  /** What the gate found, to be kept in the manifest. */
  readonly gate?: GateReport;
}

/** A graph with what is known of it. */
export interface CandidateGraph {
  readonly onnx: Uint8Array;
  /** Before quantization, when that is another. */
  readonly reference?: Uint8Array;
  readonly fixtures: Fixtures;
  /** Shapes of the largest inputs, where model.json says them. */
  readonly largest?: Readonly<Record<string, readonly number[]>>;
}

/** A model that is built, and has not been published yet. */
export type Candidate = Unpublished & CandidateGraph;

/** The same, of several graphs. */
export interface EnsembleCandidate extends Unpublished {
  readonly members: Readonly<Record<string, CandidateGraph>>;
}

/**
 * Builds a model folder that ships with Nearside and publishes it; its tests are its gate.
 *
 * @throws PublishError `already_published` when this version is there with other content
 */
export async function publishFolder(
  folder: string,
  target: PublishTarget,
  onProgress: Progress,
  options: PublishOptions = {},
): Promise<Manifest> {
  const { name, version, originBuild } = await readModelSource(folder);
  const digest = await sourceDigest(folder);
  const present = await publishedVersion(target, name, version, digest, onProgress, {
    ...options,
    originBuild: options.originBuild === true && originBuild !== undefined,
  });
  if (present !== undefined) return present;
  const built = await buildFolder(folder, { onProgress });
  const candidate =
    "members" in built
      ? { ...built, members: await withFixtures(folder, built) }
      : { ...built, fixtures: await readFixtures(folder) };
  return publishCandidate(candidate, target, onProgress, options);
}

/** The members of an ensemble's folder with their fixtures. @throws PublishError `no_model` */
export async function withFixtures(
  folder: string,
  { source, members }: Pick<BuiltEnsemble, "source" | "members">,
): Promise<Record<string, CandidateGraph>> {
  const fixtures = await readEnsembleFixtures(folder, Object.keys(members));
  return Object.fromEntries(
    Object.entries(fixtures).flatMap(([name, own]) => {
      const graph = members[name];
      const said = source.ensemble?.[name];
      return graph && said ? [[name, { ...graph, ...said, fixtures: own }]] : [];
    }),
  );
}

/**
 * The manifest of a version that is there with the same content, listed in the catalog if it was not.
 *
 * @returns undefined when the version is free
 * @throws PublishError `already_published`
 */
export async function publishedVersion(
  target: PublishTarget,
  name: string,
  version: number,
  digest: string,
  onProgress: Progress,
  { replace = false, originBuild = false }: PublishOptions = {},
): Promise<Manifest | undefined> {
  const present = await readManifest(target.bucket, name, version);
  if (present === undefined) return undefined;
  if (present.sourceDigest === digest && originBuild && !present.originBuild) {
    if (!replace) throw withoutOriginBuild(name, version);
    onProgress(`${name} ${version}: published without what origins run; adding it`);
    return undefined;
  }
  if (present.sourceDigest === digest) {
    if (await lacksBlobs(target, present)) {
      onProgress(
        `${name} ${version}: published, but files of it are missing; uploading them again`,
      );
      return undefined;
    }
    onProgress(`${name} ${version}: already published`);
    await addToCatalog(target, present);
    return present;
  }
  if (!replace) throw alreadyPublished(name, version);
  onProgress(`${name} ${version}: its sources have changed`);
  return undefined;
}

/**
 * Publishes a model: blobs, then the manifest (only if absent), then the catalog. Interrupted anywhere and
 * repeated, it ends in the same state.
 *
 * @throws PublishError `already_published` when this version is there with other content
 */
export async function publishCandidate(
  candidate: Candidate | EnsembleCandidate,
  target: PublishTarget,
  onProgress: Progress,
  { replace = false, originBuild = false }: PublishOptions = {},
): Promise<Manifest> {
  const { name, version } = candidate.source;
  const { manifest, blobs } = await describe(candidate, originBuild);
  await upload(target, blobs, (bytes) => onProgress(`${name} ${version}: uploading ${bytes}`));
  const written = await target.bucket.put(
    manifestKey(name, version),
    JSON.stringify(manifest, undefined, 2),
    replace ? {} : { onlyIf: { etagDoesNotMatch: "*" } },
  );
  if (written === null) {
    // Somebody who published at the same time was faster; perhaps it was the same.
    const theirs = await readManifest(target.bucket, name, version);
    if (theirs?.sourceDigest !== candidate.sourceDigest) throw alreadyPublished(name, version);
  }
  // A blob that was there already may have been collected while no manifest named it.
  await upload(target, blobs, (bytes) =>
    onProgress(`${name} ${version}: uploading ${bytes} again`),
  );
  await addToCatalog(target, manifest);
  onProgress(`${name} ${version}: published`);
  return manifest;
}

/** Puts the blobs that are not there. */
async function upload(
  { bucket }: PublishTarget,
  blobs: ReadonlyMap<string, Uint8Array>,
  onUpload: (size: string) => void,
): Promise<void> {
  for (const [key, bytes] of blobs) {
    if ((await bucket.head(key))?.size === bytes.length) continue;
    onUpload(size(bytes.length));
    await bucket.put(key, bytes);
  }
}

async function lacksBlobs({ bucket }: PublishTarget, manifest: Manifest): Promise<boolean> {
  for (const { digest, bytes } of partsOf(manifest)) {
    if ((await bucket.head(blobKey(digest)))?.size !== bytes) return true;
  }
  return false;
}

/** Lists the version in the catalog, if it is not yet, and writes what the edge reads. */
async function addToCatalog(target: PublishTarget, manifest: Manifest): Promise<void> {
  const { name, version } = manifest;
  const provenance = {
    by: PUBLISHER,
    change: `${name} ${version} is published`,
    now: Date.now(),
  };
  await changeCatalog(target, provenance, (source) =>
    source.models[name]?.versions.includes(version) === true
      ? undefined
      : withVersion(source, manifest),
  );
}

async function readManifest(
  bucket: PublishBucket,
  name: string,
  version: number,
): Promise<Manifest | undefined> {
  const stored = await bucket.get(manifestKey(name, version));
  return stored === null ? undefined : v.parse(Manifest, JSON.parse(await stored.text()));
}

function withoutOriginBuild(name: string, version: number): PublishError {
  return new PublishError(
    "already_published",
    `${name} ${version} is already published without what origins run, and versions never change. ` +
      `Raise "version" in its model.json.`,
  );
}

function alreadyPublished(name: string, version: number): PublishError {
  return new PublishError(
    "already_published",
    `${name} ${version} is already published with other content, and versions never change. ` +
      `Raise "version" in its model.json (or say --version ${version + 1}); locally, \`npm start -- --fresh\` starts over.`,
  );
}
