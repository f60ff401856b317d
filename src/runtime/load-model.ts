import type { Manifest, TensorSpec } from "../catalog/manifest.ts";
import { graphOf, graphsOf } from "../catalog/members.ts";
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

/** The session of each graph, and what the task made of the assets. */
export interface LoadedModel extends HostedModel {
  readonly manifest: Manifest;
  /** Of a model of one graph. @throws for an ensemble */
  readonly session: OrtSession;
  readonly resources: unknown;
  /** Runs the one graph. @throws as `OrtSession.run` */
  run(feeds: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
  /** One graph of an ensemble. @throws when there is none of that name */
  member(name: string): OrtSession;
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
    // Read and parsed once, whichever way the sessions come.
    const resources = this.#resources(manifest, context);
    resources.catch(() => {});
    const graphs = graphsOf(manifest);
    const sessions = new Map<string, OrtSession>();
    const contextOf = (member: string): LoadContext => withOthers(context, sessions, member);
    // Together: where they come from afar, they take the time of one. From a local bucket it is the same (measured).
    await Promise.all(
      [...graphs].map(async ([member, graph]) => {
        const session = await this.#restore(graph, contextOf(member));
        if (session !== undefined) sessions.set(member, session);
      }),
    );
    const isRestored = sessions.size === graphs.size;
    // One by one: each needs its weights beside what it makes of them.
    for (const [member, graph] of graphs) {
      if (sessions.has(member)) continue;
      sessions.set(member, await this.#create(graph, contextOf(member), resources));
    }
    // Without its assets a model fails either way: that is no fault of the snapshot.
    const prepared = await resources;
    if (isRestored) this.#restored++;
    else this.#loaded++;
    return modelOf(manifest, sessions, prepared, isRestored ? "restored" : "loaded");
  }

  async #restore(manifest: Manifest, context: LoadContext): Promise<OrtSession | undefined> {
    const { runtime, blobs } = this.#options;
    const { snapshot } = manifest;
    if (snapshot === undefined) return undefined;
    if (snapshot.runtime !== runtime.digest) {
      this.#countFallback(manifest, "wrong_runtime", undefined);
      return undefined;
    }
    try {
      const model = { ...manifest, graph: graphOf(manifest) };
      return await restoreSession(runtime, snapshot, model, blobs, context);
    } catch (error) {
      // Another request goes on with this load: there is nothing to fall back to, nor to reserve.
      if (error instanceof SupersededError) throw error;
      context.onProgress();
      this.#countFallback(manifest, faultOf(error), error);
      return undefined;
    }
  }

  /**
   * The plain way: starts an instance while the blobs come, then creates the session. Weights stand once
   * in JS memory until ORT has copied each range to its place.
   */
  async #create(
    manifest: Manifest,
    context: LoadContext,
    resources: Promise<unknown>,
  ): Promise<OrtSession> {
    const { runtime, blobs } = this.#options;
    const { weights: weightsRef } = manifest;
    const graphRef = graphOf(manifest);
    await context.stage(weightsRef?.bytes ?? 0);
    const [instance, graph, weights] = await Promise.all([
      startOrt(runtime.wasm, context.mayGrow),
      blobs.read(graphRef, context),
      weightsRef && blobs.read(weightsRef, context),
      // Nothing is created for a model whose assets are gone.
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
    return session;
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

/** A member's memory grows beside that of the others; the host counts the sum. */
function withOthers(
  context: LoadContext,
  sessions: ReadonlyMap<string, OrtSession>,
  member: string,
): LoadContext {
  const mayGrow = (heapBytes: number): boolean => {
    let sum = heapBytes;
    for (const [name, session] of sessions) if (name !== member) sum += session.heapBytes;
    return context.mayGrow(sum);
  };
  return { ...context, mayGrow };
}

function modelOf(
  manifest: Manifest,
  sessions: ReadonlyMap<string, OrtSession>,
  resources: unknown,
  start: LoadedModel["start"],
): LoadedModel {
  const member = (name: string): OrtSession => {
    const session = sessions.get(name);
    if (session !== undefined) return session;
    throw new Error(`"${manifest.name}" has no graph "${name}".`);
  };
  return {
    manifest,
    resources,
    start,
    get session() {
      return member("");
    },
    run: (feeds) => member("").run(feeds),
    member,
    get heapBytes() {
      return sessions.values().reduce((sum, { heapBytes }) => sum + heapBytes, 0);
    },
    get isSpent() {
      return sessions.values().some(({ isSpent }) => isSpent);
    },
    get trap() {
      return sessions.values().find(({ trap }) => trap !== undefined)?.trap;
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
