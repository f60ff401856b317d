import type { BlobRef, TensorSpec } from "../../catalog/manifest.ts";
import type { BlobContext, BlobStore } from "../../store/blobs.ts";
import { type GrowthGate, instantiateBare, type OrtInstance, type Startup } from "../ort-module.ts";
import { OrtSession, type SessionPointers } from "../session.ts";
import { SnapshotError, type SnapshotHeader } from "./format.ts";
import { memoryOfLength, PageReader } from "./page-reader.ts";

/** The runtime of this isolate: a snapshot is restored only into the one that made it. */
export interface Runtime {
  readonly wasm: WebAssembly.Module;
  /** SHA-256, in hex, of the WASM and then the glue. */
  readonly digest: string;
  readonly startup: Startup;
}

/** The model that a restored session must be. */
export interface SnapshotModel {
  readonly graph: BlobRef;
  readonly weights?: BlobRef | undefined;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly memory: { readonly heapBytes: number };
}

export interface RestoreContext extends BlobContext {
  readonly mayGrow: GrowthGate;
  /** Takes the milliseconds of a step. */
  onPhase(name: string, milliseconds: number): void;
  now(): number;
}

/**
 * A session from its snapshot: no initialisation, no graph, no optimisation; its pages are copied into a
 * new instance as they arrive.
 *
 * @throws SnapshotError when it does not fit this runtime or this host, or contradicts itself
 * @throws NearsideError `model_damaged`, `model_unavailable`
 */
export async function restoreSession(
  runtime: Runtime,
  ref: BlobRef,
  model: SnapshotModel,
  blobs: BlobStore,
  context: RestoreContext,
): Promise<OrtSession> {
  const start = (): Promise<OrtInstance> =>
    instantiateBare(runtime.wasm, context.mayGrow, runtime.startup, model.memory.heapBytes);
  let instance: OrtInstance | undefined;
  let reader: PageReader | undefined;
  let starting: Promise<OrtInstance> | undefined;
  let copyMs = 0;
  const streaming = blobs.stream(ref, context, {
    // A read that is repeated begins with an instance that has seen no damaged byte.
    async begin() {
      const started = await (starting ?? start());
      starting = undefined;
      instance = started;
      reader = new PageReader((header) => openMemory(started, header, runtime, model));
    },
    write(chunk) {
      const began = context.now();
      reader?.write(chunk);
      copyMs += context.now() - began;
    },
  });
  // The module starts while the first bytes are on their way.
  const began = context.now();
  starting = start();
  // Awaited when the stream begins, which it may never do.
  starting.catch(() => {});
  context.onPhase("start", context.now() - began);
  await streaming;
  context.onPhase("copy", copyMs);
  if (instance === undefined || reader === undefined) throw new Error("Nothing was streamed.");
  const { handles } = reader.end();
  const { inputs, outputs } = model;
  checkNames(instance, handles, model);
  return new OrtSession(instance, { ...handles, inputs, outputs });
}

function openMemory(
  { memory }: OrtInstance,
  { runtime, graph, weights, memoryBytes }: SnapshotHeader,
  { digest }: Runtime,
  model: SnapshotModel,
): Uint8Array {
  if (runtime !== digest) {
    throw new SnapshotError("wrong_runtime", "The snapshot was made by another runtime.");
  }
  if (graph !== model.graph.digest || weights !== model.weights?.digest) {
    throw new SnapshotError("wrong_model", "The snapshot is of another model.");
  }
  try {
    return memoryOfLength(memory, memoryBytes);
  } catch {
    throw new SnapshotError("memory_refused", "There is no memory for the snapshot here.");
  }
}

/** Pointers that lead to the right names lead to the right session. */
function checkNames(
  { module }: OrtInstance,
  { inputNames, outputNames }: SessionPointers,
  { inputs, outputs }: SnapshotModel,
): void {
  const held = [...inputNames, ...outputNames].map((pointer) => module.UTF8ToString(pointer));
  const wanted = [...inputs, ...outputs].map(({ name }) => name);
  const isSame =
    inputNames.length === inputs.length &&
    held.length === wanted.length &&
    held.every((name, index) => name === wanted[index]);
  if (!isSame) throw new SnapshotError("wrong_model", "The snapshot has other inputs or outputs.");
}
