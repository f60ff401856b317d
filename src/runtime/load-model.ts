import type { Manifest, TensorSpec } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import type { BlobStore } from "../store/blobs.ts";
import { createSession } from "./create-session.ts";
import type { HostedModel, LoadContext } from "./host.ts";
import { startOrt } from "./ort-module.ts";
import type { OrtSession } from "./session.ts";
import { SupersededError } from "./shared-load.ts";
import type { Tensor } from "./tensor.ts";
import { SnapshotError } from "./snapshot/format.ts";
import { restoreSession, type Runtime } from "./snapshot/restore.ts";

/** A session and what its task made of the assets. */
export interface LoadedModel extends HostedModel {
  readonly manifest: Manifest;
  readonly session: OrtSession;
  readonly resources: unknown;
  /** Runs the graph once. @throws as `OrtSession.run` */
  run(feeds: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
}

export interface LoaderOptions {
  readonly runtime: Runtime;
  readonly blobs: BlobStore;
  /** Parses the assets once, for every request to come. */
  prepare(manifest: Manifest, assets: Readonly<Record<string, Uint8Array>>): unknown;
  /** Told when a snapshot could not be used and the model is loaded from its graph. */
  onFallback?(manifest: Manifest, fault: string, cause: unknown): void;
}

export interface LoaderStats {
  readonly restored: number;
  readonly loaded: number;
  /** By fault: `wrong_runtime`, `wrong_model`, `model_damaged`, … */
  readonly fallbacks: Readonly<Record<string, number>>;
}

/** From a manifest to a model that runs: from its snapshot when that fits this runtime, else from its graph. */
export class ModelLoader {
  readonly #options: LoaderOptions;
  #restored = 0;
  #loaded = 0;
  readonly #fallbacks: Record<string, number> = {};

  constructor(options: LoaderOptions) {
    this.#options = options;
  }

  get stats(): LoaderStats {
    return { restored: this.#restored, loaded: this.#loaded, fallbacks: { ...this.#fallbacks } };
  }

  /** @throws NearsideError `model_damaged`, `model_unavailable`, `model_load_failed`, `out_of_memory` */
  async load(manifest: Manifest, context: LoadContext): Promise<LoadedModel> {
    // Read and parsed once, whichever way the session comes.
    const resources = this.#resources(manifest, context);
    resources.catch(() => {});
    const restored = await this.#restore(manifest, context, resources);
    if (restored !== undefined) {
      this.#restored++;
      return restored;
    }
    const loaded = await this.#create(manifest, context, resources);
    this.#loaded++;
    return loaded;
  }

  async #restore(
    manifest: Manifest,
    context: LoadContext,
    resources: Promise<unknown>,
  ): Promise<LoadedModel | undefined> {
    const { runtime, blobs } = this.#options;
    const { snapshot } = manifest;
    if (snapshot === undefined) return undefined;
    if (snapshot.runtime !== runtime.digest) {
      this.#countFallback(manifest, "wrong_runtime", undefined);
      return undefined;
    }
    let session: OrtSession;
    try {
      session = await restoreSession(runtime, snapshot, manifest, blobs, context);
    } catch (error) {
      // Another request goes on with this load: there is nothing to fall back to, nor to reserve.
      if (error instanceof SupersededError) throw error;
      context.onProgress();
      this.#countFallback(manifest, faultOf(error), error);
      return undefined;
    }
    // Without its assets a model fails either way: that is no fault of the snapshot.
    return modelOf(manifest, session, await resources, "restored");
  }

  /**
   * The plain way: starts an instance while the blobs come, then creates the session. Weights stand once
   * in JS memory until ORT has copied each range to its place.
   */
  async #create(
    manifest: Manifest,
    context: LoadContext,
    resources: Promise<unknown>,
  ): Promise<LoadedModel> {
    const { runtime, blobs } = this.#options;
    const { graph: graphRef, weights: weightsRef } = manifest;
    await context.stage(weightsRef?.bytes ?? 0);
    const [instance, graph, weights, prepared] = await Promise.all([
      startOrt(runtime.wasm, context.mayGrow),
      blobs.read(graphRef, context),
      weightsRef && blobs.read(weightsRef, context),
      resources,
    ]);
    const began = context.now();
    const session = createSession(instance, {
      graph,
      ...(weightsRef && weights && { weights: { name: weightsRef.name, data: weights } }),
    });
    context.onPhase("create", context.now() - began);
    checkSignature(manifest, session);
    context.onProgress();
    return modelOf(manifest, session, prepared, "loaded");
  }

  /** What the task makes of its assets, while larger files are still on their way. */
  async #resources(manifest: Manifest, context: LoadContext): Promise<unknown> {
    const entries = Object.entries(manifest.assets).map(
      async ([name, ref]) => [name, await this.#options.blobs.read(ref, context)] as const,
    );
    const assets = Object.fromEntries(await Promise.all(entries));
    const began = context.now();
    const resources = this.#options.prepare(manifest, assets);
    context.onPhase("prepare", context.now() - began);
    return resources;
  }

  #countFallback(manifest: Manifest, fault: string, cause: unknown): void {
    this.#fallbacks[fault] = (this.#fallbacks[fault] ?? 0) + 1;
    this.#options.onFallback?.(manifest, fault, cause);
  }
}

function modelOf(
  manifest: Manifest,
  session: OrtSession,
  resources: unknown,
  start: LoadedModel["start"],
): LoadedModel {
  return {
    manifest,
    session,
    resources,
    start,
    run: (feeds) => session.run(feeds),
    get heapBytes() {
      return session.heapBytes;
    },
    get trap() {
      return session.trap;
    },
  };
}

function faultOf(error: unknown): string {
  if (error instanceof SnapshotError) return error.fault;
  return error instanceof NearsideError ? error.code : "unexpected";
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
