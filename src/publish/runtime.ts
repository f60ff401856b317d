import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";

import { unshareMemory } from "../runtime/unshare-memory.ts";
import { GENERATED, packageFile } from "./workspace.ts";

/** The WASM that Workers import: onnxruntime-web's, with unshared memory. */
export const RUNTIME_WASM = path.join(GENERATED, "runtime", "ort.wasm");

/** Writes `RUNTIME_WASM` from the installed onnxruntime-web, unless it is there already. @returns its bytes */
export async function prepareRuntime(): Promise<Uint8Array<ArrayBuffer>> {
  const wasm = unshareMemory(
    await readFile(packageFile("onnxruntime-web/ort-wasm-simd-threaded.wasm")),
  );
  const present = await readFile(RUNTIME_WASM).catch(() => undefined);
  if (present?.equals(wasm)) return wasm;
  await mkdir(path.dirname(RUNTIME_WASM), { recursive: true });
  // Renamed into place, so that an interrupted write is never taken for the whole.
  const partial = `${RUNTIME_WASM}.${process.pid}`;
  await writeFile(partial, wasm);
  await rename(partial, RUNTIME_WASM);
  return wasm;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The same module for Node: what is measured and checked at publication is what Workers run. */
export function runtimeModule(): Promise<WebAssembly.Module> {
  compiled ??= prepareRuntime().then((wasm) => compile(wasm));
  return compiled;
}

/** The types of Workers, where bytes can't be compiled, leave the constructor out. */
function compile(wasm: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const { Module } = WebAssembly as unknown as {
    Module: new (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
  };
  return new Module(wasm);
}
