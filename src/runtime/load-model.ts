import type { Manifest, TensorSpec } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import type { BlobStore } from "../store/blobs.ts";
import type { HostedModel, LoadContext } from "./host.ts";
import { startOrt } from "./ort-module.ts";
import { createSession } from "./create-session.ts";
import type { OrtSession } from "./session.ts";

/** A session and what its task made of the assets. */
export interface LoadedModel extends HostedModel {
  readonly manifest: Manifest;
  readonly session: OrtSession;
  readonly resources: unknown;
}

export interface Loader {
  readonly wasm: WebAssembly.Module;
  readonly blobs: BlobStore;
  /** Parses the assets once, for every request to come. */
  prepare(manifest: Manifest, assets: Readonly<Record<string, Uint8Array>>): unknown;
}

/**
 * The plain way to a loaded model: starts an instance while the blobs come, then creates the session.
 * Weights stand once in JS memory until ORT has copied each range to its place.
 *
 * @throws NearsideError `model_damaged`, `model_unavailable`, `model_load_failed`, `out_of_memory`
 */
export async function loadModel(
  { wasm, blobs, prepare }: Loader,
  manifest: Manifest,
  context: LoadContext,
): Promise<LoadedModel> {
  const starting = startOrt(wasm, context.mayGrow);
  const assetNames = Object.keys(manifest.assets);
  const [instance, graph, weights, ...assetBytes] = await Promise.all([
    starting,
    blobs.read(manifest.graph, context),
    manifest.weights && blobs.read(manifest.weights, context),
    ...Object.values(manifest.assets).map((ref) => blobs.read(ref, context)),
  ]);
  const session = createSession(instance, {
    graph,
    ...(manifest.weights && weights && { weights: { name: manifest.weights.name, data: weights } }),
  });
  checkSignature(manifest, session);
  context.onProgress();
  const assets = Object.fromEntries(
    assetNames.map((name, index) => [name, assetBytes[index] ?? new Uint8Array()]),
  );
  const resources = prepare(manifest, assets);
  return {
    manifest,
    session,
    resources,
    get heapBytes() {
      return session.heapBytes;
    },
    get trap() {
      return session.trap;
    },
  };
}

/** The manifest is what requests are checked against, so it must say what the graph says. */
function checkSignature({ inputs, outputs }: Manifest, session: OrtSession): void {
  if (
    JSON.stringify([inputs, outputs].map(names)) !==
    JSON.stringify([session.inputs, session.outputs].map(names))
  ) {
    throw new NearsideError(
      "model_load_failed",
      "The model's graph is not the one in its manifest.",
    );
  }
}

function names(specs: readonly TensorSpec[]): readonly string[] {
  return specs.map(({ name, datatype }) => `${name}: ${datatype}`);
}
