import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";

import type { ModelSource } from "../catalog/manifest.ts";
import { bytesOf } from "./onnx/model.ts";
import { PublishError } from "./error.ts";
import {
  type EnsembleBuild,
  importBuilder,
  type ModelBuild,
  readModelSource,
  sourceDigest,
} from "./source.ts";
import { GENERATED } from "./workspace.ts";

interface Built {
  readonly source: ModelSource;
  /** Of everything that decided the build. */
  readonly sourceDigest: string;
  /** Where the files are: `model.onnx`, perhaps `reference.onnx`, and `assets/<name>`; of a member `members/<name>/model.onnx`. */
  readonly folder: string;
  /** Whether an earlier build was used. */
  readonly cached: boolean;
}

export type BuiltModel = Built & ModelBuild;
export type BuiltEnsemble = Built & EnsembleBuild;

export interface BuildOptions {
  onProgress?: (line: string) => void;
  /** Where builds are kept. */
  cacheFolder?: string;
}

/** As `buildFolder`, for a model of one graph. @throws PublishError `unsupported_model` for an ensemble */
export async function buildModel(folder: string, options: BuildOptions = {}): Promise<BuiltModel> {
  const built = await buildFolder(folder, options);
  if (!("members" in built)) return built;
  throw new PublishError("unsupported_model", `${built.source.name} is an ensemble.`);
}

/**
 * Builds the model of a folder such as `models/minilm`, or returns the build that was made of the
 * same sources before. A folder in the cache is always a whole build: it is renamed into place.
 */
export async function buildFolder(
  folder: string,
  options: BuildOptions = {},
): Promise<BuiltModel | BuiltEnsemble> {
  const { onProgress, cacheFolder = path.join(GENERATED, "build") } = options;
  const source = await readModelSource(folder);
  const digest = await sourceDigest(folder);
  const builds = path.join(cacheFolder, source.name);
  const target = path.join(builds, digest);
  const present = await readBuild(target);
  if (present !== undefined) {
    onProgress?.(`${source.name}: using the build ${digest.slice(0, 12)}`);
    return { ...present, source, sourceDigest: digest, folder: target, cached: true };
  }

  onProgress?.(`${source.name}: building`);
  const started = performance.now();
  const { build } = await importBuilder(folder);
  const made = await build();
  checkMembers(source, made);
  await mkdir(builds, { recursive: true });
  const partial = await mkdtemp(path.join(builds, "partial-"));
  try {
    await writeBuild(partial, made);
    await moveIntoPlace(partial, target);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  await dropOldBuilds(builds, target);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const megabytes = (graphBytes(made) / 1e6).toFixed(1);
  onProgress?.(`${source.name}: built in ${seconds} s, ${megabytes} MB`);
  return { ...made, source, sourceDigest: digest, folder: target, cached: false };
}

/** @throws PublishError `no_model` when model.json declares other members */
function checkMembers(
  { name, ensemble = {} }: ModelSource,
  made: ModelBuild | EnsembleBuild,
): void {
  const [said, given] = [ensemble, "members" in made ? made.members : {}].map((record) =>
    Object.keys(record).toSorted().join(", "),
  );
  if (said === given) return;
  throw new PublishError(
    "no_model",
    `model.json of ${name} declares the members "${said}"; its build makes "${given}".`,
  );
}

function graphBytes(made: ModelBuild | EnsembleBuild): number {
  const graphs = "members" in made ? Object.values(made.members) : [made];
  return graphs.reduce((sum, { onnx }) => sum + onnx.byteLength, 0);
}

async function writeBuild(folder: string, made: ModelBuild | EnsembleBuild): Promise<void> {
  if ("members" in made) {
    for (const [name, graph] of Object.entries(made.members)) {
      await writeGraph(path.join(folder, MEMBERS, name), graph);
    }
  } else {
    await writeGraph(folder, made);
  }
  await mkdir(path.join(folder, "assets"));
  for (const [name, bytes] of Object.entries(made.assets)) {
    await writeFile(path.join(folder, "assets", name), bytes);
  }
}

type Graph = Pick<ModelBuild, "onnx" | "reference">;

const MEMBERS = "members";

async function writeGraph(folder: string, { onnx, reference }: Graph): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, "model.onnx"), onnx);
  if (reference !== undefined) await writeFile(path.join(folder, "reference.onnx"), reference);
}

async function moveIntoPlace(partial: string, target: string): Promise<void> {
  try {
    await rename(partial, target);
  } catch (error) {
    // Someone who built the same at the same time was faster; the builds are equal.
    if (!hasCode(error, "ENOTEMPTY") && !hasCode(error, "EEXIST")) throw error;
  }
}

/** The build before this one stays, for whoever goes back to it. */
const KEPT_BUILDS = 2;

async function dropOldBuilds(builds: string, newest: string): Promise<void> {
  const folders = await Promise.all(
    (await readdir(builds))
      .filter((name) => !name.startsWith("partial-"))
      .map(async (name) => {
        const folder = path.join(builds, name);
        const changedAt = folder === newest ? Infinity : (await stat(folder)).mtimeMs;
        return { folder, changedAt };
      }),
  );
  const old = folders.toSorted((a, b) => b.changedAt - a.changedAt).slice(KEPT_BUILDS);
  for (const { folder } of old) await rm(folder, { recursive: true, force: true });
}

async function readBuild(folder: string): Promise<ModelBuild | EnsembleBuild | undefined> {
  const graph = await readGraph(folder);
  const members = graph === undefined ? await readMembers(path.join(folder, MEMBERS)) : undefined;
  if (graph === undefined && members === undefined) return undefined;
  const assets: Record<string, Uint8Array> = {};
  for (const name of (await readdir(path.join(folder, "assets"))).toSorted()) {
    assets[name] = bytesOf(await readFile(path.join(folder, "assets", name)));
  }
  return graph === undefined ? { members: members ?? {}, assets } : { ...graph, assets };
}

async function readMembers(folder: string): Promise<Record<string, Graph> | undefined> {
  const names = await readdir(folder).catch(() => undefined);
  if (names === undefined) return undefined;
  const members: Record<string, Graph> = {};
  for (const name of names.toSorted()) {
    const graph = await readGraph(path.join(folder, name));
    if (graph !== undefined) members[name] = graph;
  }
  return members;
}

async function readGraph(folder: string): Promise<Graph | undefined> {
  const onnx = await readIfPresent(path.join(folder, "model.onnx"));
  if (onnx === undefined) return undefined;
  const reference = await readIfPresent(path.join(folder, "reference.onnx"));
  return reference === undefined ? { onnx } : { onnx, reference };
}

async function readIfPresent(file: string): Promise<Uint8Array | undefined> {
  try {
    return bytesOf(await readFile(file));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
