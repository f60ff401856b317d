import type { TensorSpec } from "../../src/catalog/manifest.ts";
import {
  type GrowthGate,
  instantiateBare,
  type OrtInstance,
  type Startup,
} from "../../src/runtime/ort-module.ts";
import { OrtSession } from "../../src/runtime/session.ts";
import { memoryOfLength, PageReader } from "../../src/runtime/snapshot/page-reader.ts";

interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** An instance and its session from the bytes of a snapshot, without a store. */
export async function restoreBytes(
  wasm: WebAssembly.Module,
  startup: Startup,
  bytes: Uint8Array,
  { inputs, outputs }: Signature,
  mayGrow: GrowthGate = () => true,
): Promise<{ readonly session: OrtSession; readonly instance: OrtInstance }> {
  const instance = await instantiateBare(wasm, mayGrow, startup);
  const reader = new PageReader(({ memoryBytes }) => memoryOfLength(instance.memory, memoryBytes));
  reader.write(bytes);
  const session = new OrtSession(instance, { ...reader.end().handles, inputs, outputs });
  return { session, instance };
}
