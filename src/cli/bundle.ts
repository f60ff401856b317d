import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";

import { GENERATED, ROOT } from "../publish/workspace.ts";
import { EDGE_CONFIG } from "./local-store.ts";
import { runQuietly } from "./processes.ts";

/** A Worker of this repository. */
export interface BundledWorker {
  readonly name: string;
  readonly config: string;
  /** Where its bundle is put. */
  readonly folder: string;
}

const bundleFolder = (name: string): string => path.join(GENERATED, "bundle", name);

export const EDGE: BundledWorker = {
  name: "edge",
  config: EDGE_CONFIG,
  folder: bundleFolder("edge"),
};

export const CONTROL: BundledWorker = {
  name: "control",
  config: path.join(ROOT, "workers/control/wrangler.toml"),
  folder: bundleFolder("control"),
};

export const ORIGIN: BundledWorker = {
  name: "origin",
  config: path.join(ROOT, "workers/origin/wrangler.toml"),
  folder: bundleFolder("origin"),
};

/** Bundles the Workers as they would be deployed. */
export async function bundleWorkers(): Promise<void> {
  await Promise.all([EDGE, CONTROL, ORIGIN].map(bundleWorker));
}

/**
 * Each file is renamed into place, so that whoever starts from the same sources at the same time never reads
 * half of one.
 */
export async function bundleWorker({ config, folder }: BundledWorker): Promise<void> {
  await mkdir(folder, { recursive: true });
  const fresh = await mkdtemp(`${folder}-`);
  try {
    await runQuietly("wrangler", ["deploy", "--dry-run", "--config", config, "--outdir", fresh]);
    const files = await readdir(fresh);
    for (const file of files) await rename(path.join(fresh, file), path.join(folder, file));
    const old = (await readdir(folder)).filter((file) => !files.includes(file));
    for (const file of old) await rm(path.join(folder, file), { recursive: true, force: true });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** The files of a bundle, as Miniflare takes them. */
export async function bundledModules(folder: string) {
  const files = await readdir(folder);
  const ending = <T extends string>(end: string, type: T) =>
    files
      .filter((file) => file.endsWith(end))
      .map((file) => ({ type, path: path.join(folder, file) }));
  return [
    { type: "ESModule" as const, path: path.join(folder, "index.js") },
    ...ending(".wasm", "CompiledWasm" as const),
    ...ending(".bin", "Data" as const),
  ];
}
