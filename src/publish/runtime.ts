import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";

import { scanModule } from "./corpus/kernel-module.ts";
import { instantiate, type Startup } from "../runtime/ort-module.ts";
import { unshareMemory } from "../runtime/unshare-memory.ts";
import { installedVersion } from "./source.ts";
import { GENERATED, packageFile } from "./workspace.ts";
import { writeIfOther } from "./write-if-other.ts";

/** The WASM that Workers import: onnxruntime-web's, with unshared memory. */
export const RUNTIME_WASM = path.join(GENERATED, "runtime", "ort.wasm");

/** The search of corpora, for Workers too: they can't compile bytes. */
const SEARCH_WASM = path.join(GENERATED, "runtime", "search.wasm");

const RUNTIME_IDENTITY = path.join(GENERATED, "runtime", "runtime.json");

/** What a snapshot is valid for. */
export interface RuntimeIdentity {
  /** SHA-256, in hex, of the WASM and then the glue, byte for byte. */
  readonly digest: string;
  readonly ortVersion: string;
  readonly startup: Startup;
}

export interface PreparedRuntime {
  readonly wasm: Uint8Array<ArrayBuffer>;
  readonly identity: RuntimeIdentity;
}

let prepared: Promise<PreparedRuntime> | undefined;

/** Writes what Workers import of the installed onnxruntime-web, unless it is there already. */
export function prepareRuntime(): Promise<PreparedRuntime> {
  prepared ??= prepare();
  return prepared;
}

async function prepare(): Promise<PreparedRuntime> {
  const wasm = unshareMemory(
    await readFile(packageFile("onnxruntime-web/ort-wasm-simd-threaded.wasm")),
  );
  const glue = await readFile(packageFile("onnxruntime-web/ort-wasm-simd-threaded.mjs"));
  const identity = {
    digest: createHash("sha256").update(wasm).update(glue).digest("hex"),
    ortVersion: await installedVersion("onnxruntime-web"),
    startup: await traceStartup(compile(wasm)),
  };
  await mkdir(path.dirname(RUNTIME_WASM), { recursive: true });
  await writeIfOther(RUNTIME_WASM, wasm);
  await writeIfOther(SEARCH_WASM, scanModule());
  await writeIfOther(RUNTIME_IDENTITY, Buffer.from(`${JSON.stringify(identity)}\n`));
  return { wasm, identity };
}

/**
 * Starts an instance and watches: the first export that the glue calls runs the constructors, and the first
 * import that these call sets up the main thread (`__wasm_call_ctors` and `__emscripten_init_main_thread_js`
 * before their names were shortened).
 */
async function traceStartup(wasm: WebAssembly.Module): Promise<Startup> {
  let constructors: string | undefined;
  let mainThread: Startup["mainThread"] | undefined;
  const link = ({ a: imports = {}, ...others }: WebAssembly.Imports): WebAssembly.Exports => {
    const watched = watch(imports, (name, [argument]) => {
      if (constructors !== undefined) mainThread ??= { import: name, argument: Number(argument) };
    });
    const { exports } = new WebAssembly.Instance(wasm, { a: watched, ...others });
    return watch(exports, (name) => {
      constructors ??= name;
    });
  };
  await instantiate(wasm, () => true, link);
  if (constructors === undefined || mainThread === undefined) {
    throw new Error("This build of onnxruntime-web starts in a way that is not known here.");
  }
  return { constructors, mainThread };
}

/** The same functions, each call told first. */
function watch<T extends Readonly<Record<string, unknown>>>(
  functions: T,
  called: (name: string, words: readonly unknown[]) => void,
): T {
  return Object.fromEntries(
    Object.entries(functions).map(([name, one]) => [
      name,
      typeof one === "function"
        ? (...words: unknown[]): unknown => {
            called(name, words);
            return Reflect.apply(one, undefined, words);
          }
        : one,
    ]),
  ) as T;
}

/** Of the installed onnxruntime-web. */
export async function runtimeIdentity(): Promise<RuntimeIdentity> {
  return (await prepareRuntime()).identity;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The same module for Node: what is measured and checked at publication is what Workers run. */
export function runtimeModule(): Promise<WebAssembly.Module> {
  compiled ??= prepareRuntime().then(({ wasm }) => compile(wasm));
  return compiled;
}

/** The types of Workers, where bytes can't be compiled, leave the constructor out. */
export function compile(wasm: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const { Module } = WebAssembly as unknown as {
    Module: new (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
  };
  return new Module(wasm);
}
