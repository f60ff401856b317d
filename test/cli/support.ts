import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { type Catalog, EMPTY_CATALOG, withVersion } from "../../src/catalog/catalog.ts";
import type { BlobRef, Manifest } from "../../src/catalog/manifest.ts";
import { openControl } from "../../src/cli/nearside/open-control.ts";
import { nearside, type Surroundings } from "../../src/cli/nearside/main.ts";
import type { Target } from "../../src/cli/target.ts";
import type { PublishBucket, PublishTarget } from "../../src/publish/bucket.ts";
import { blobKey, CATALOG_SOURCE_KEY, manifestKey } from "../../src/store/layout.ts";
import { manifestOf } from "../support/manifests.ts";

export interface TemporaryFolder {
  readonly folder: string;
  remove(): Promise<void>;
}

export async function temporaryFolder(): Promise<TemporaryFolder> {
  const folder = await mkdtemp(path.join(tmpdir(), "nearside-cli-"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** What `nearside <words>` says and returns, with `store` as the local bucket. */
export async function say(store: PublishTarget, ...words: string[]) {
  const said = { out: "", err: "", opened: 0, closed: 0 };
  const target: Target = {
    ...store,
    where: "the local bucket",
    close: async () => void said.closed++,
  };
  const exitCode = await nearside(words, {
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    open: async () => {
      said.opened++;
      return target;
    },
    ...NOTHING_ELSE,
  });
  return { ...said, exitCode };
}

const NOTHING_ELSE = {
  control: () => Promise.reject(new Error("this command asks no control plane")),
  edge: () => Promise.reject(new Error("this command asks no edge")),
  input: () => Promise.resolve(""),
  wait: () => Promise.resolve(),
  isTerminal: false,
};

/** What `nearside <words>` says and returns, with the control plane that `env` names. */
export async function sayTo(
  env: Readonly<Record<string, string>>,
  words: readonly string[],
  more: Partial<Surroundings> = {},
) {
  const said = { out: "", err: "" };
  const exitCode = await nearside(words, {
    ...NOTHING_ELSE,
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    open: () => Promise.reject(new Error("this command opens no bucket")),
    control: (remote) => openControl({ remote, env, stateFolder: NO_STATE }),
    ...more,
  });
  return { ...said, exitCode };
}

/** A state folder in which nothing runs. */
const NO_STATE = path.join(tmpdir(), "nearside-no-such-state");

export async function sayJson(store: PublishTarget, ...words: string[]) {
  const { out, err, exitCode } = await say(store, ...words, "--json");
  const value: unknown = JSON.parse(out);
  return { value, err, exitCode };
}

export function refOf(text: string): BlobRef {
  const bytes = new TextEncoder().encode(text);
  return { digest: createHash("sha256").update(bytes).digest("hex"), bytes: bytes.length };
}

/** Puts a text into the bucket under its digest. */
export async function putText(bucket: PublishBucket, text: string): Promise<BlobRef> {
  const ref = refOf(text);
  await bucket.put(blobKey(ref.digest), text);
  return ref;
}

export async function putManifest(
  bucket: PublishBucket,
  overrides: Partial<Manifest>,
): Promise<Manifest> {
  const manifest = manifestOf(overrides);
  await bucket.put(manifestKey(manifest.name, manifest.version), JSON.stringify(manifest));
  return manifest;
}

/** Lists the manifests in the catalog, the first version of each model as `stable`. */
export async function putCatalog(
  bucket: PublishBucket,
  manifests: readonly Manifest[],
  labels: Record<string, Catalog["models"][string]["labels"]> = {},
): Promise<void> {
  let catalog = EMPTY_CATALOG;
  for (const manifest of manifests) catalog = withVersion(catalog, manifest);
  for (const [name, more] of Object.entries(labels)) {
    const model = catalog.models[name];
    if (model !== undefined) Object.assign(model.labels, more);
  }
  await bucket.put(CATALOG_SOURCE_KEY, JSON.stringify(catalog));
}

/** Removes every object, so that a test begins with nothing. */
export async function emptyBucket(bucket: PublishBucket): Promise<void> {
  const { objects } = await bucket.list();
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
}
