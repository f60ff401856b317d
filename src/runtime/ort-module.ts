import createOrtModule from "onnxruntime-web/ort-wasm-simd-threaded.mjs";

/** A pointer into the instance's linear memory, or an opaque handle of ORT's. */
export type Pointer = number;

/** The part of ORT's C API and of emscripten's helpers that Nearside calls. 32-bit pointers. */
export interface OrtModule {
  _malloc(bytes: number): Pointer;
  _free(pointer: Pointer): void;
  stackSave(): Pointer;
  stackRestore(stack: Pointer): void;
  stackAlloc(bytes: number): Pointer;
  UTF8ToString(pointer: Pointer): string;
  mountExternalData(name: string, data: ExternalData): void;
  unmountExternalData(): void;

  _OrtInit(threads: number, logSeverity: number): number;
  _OrtGetLastError(code: Pointer, message: Pointer): void;
  _OrtCreateSessionOptions(
    optimization: number,
    memoryArena: boolean,
    memoryPattern: boolean,
    executionMode: number,
    profiling: boolean,
    profilePrefix: Pointer,
    logId: Pointer,
    logSeverity: number,
    logVerbosity: number,
    optimizedModelPath: Pointer,
  ): Pointer;
  _OrtReleaseSessionOptions(options: Pointer): number;
  _OrtCreateSession(model: Pointer, bytes: number, options: Pointer): Pointer;
  _OrtReleaseSession(session: Pointer): number;
  _OrtGetInputOutputCount(session: Pointer, inputs: Pointer, outputs: Pointer): number;
  _OrtGetInputOutputMetadata(session: Pointer, index: number, name: Pointer, type: Pointer): number;
  _OrtFree(pointer: Pointer): number;
  _OrtCreateTensor(
    datatype: number,
    data: Pointer,
    bytes: number,
    shape: Pointer,
    rank: number,
    location: number,
  ): Pointer;
  _OrtGetTensorData(
    tensor: Pointer,
    datatype: Pointer,
    data: Pointer,
    shape: Pointer,
    rank: Pointer,
  ): number;
  _OrtReleaseTensor(tensor: Pointer): number;
  _OrtCreateRunOptions(
    logSeverity: number,
    logVerbosity: number,
    terminate: boolean,
    tag: Pointer,
  ): Pointer;
  _OrtReleaseRunOptions(options: Pointer): number;
  _OrtRun(
    session: Pointer,
    inputNames: Pointer,
    inputs: Pointer,
    inputCount: number,
    outputNames: Pointer,
    outputCount: number,
    outputs: Pointer,
    options: Pointer,
  ): number;
}

/** What ORT asks of mounted external data: a length, and ranges of it. */
export interface ExternalData {
  readonly byteLength: number;
  subarray(start: number, end: number): Uint8Array;
}

/** One WASM instance: its exports and its linear memory. */
export interface OrtInstance {
  readonly module: OrtModule;
  readonly memory: WebAssembly.Memory;
}

/**
 * Asked before the linear memory takes a new length, in bytes. When it answers false the memory stays
 * as it is and ORT's allocation fails, which surfaces as `out_of_memory`.
 */
export type GrowthGate = (newBytes: number) => boolean;

/** The unit in which linear memory grows. */
export const WASM_PAGE_BYTES = 65_536;

/** The length that the glue starts with: 256 pages of 64 KiB. */
export const INITIAL_HEAP_BYTES = 16_777_216;

/** ORT's severity "fatal": it also writes every error that it returns to the console, which nobody needs twice. */
export const LOG_FATAL = 4;

/**
 * Starts an instance of onnxruntime-web's WASM, with memory of its own and ORT's environment created.
 *
 * @param wasm the module with unshared memory, see `unshareMemory`
 * @param mayGrow decides on growth past `INITIAL_HEAP_BYTES`
 */
export async function startOrt(
  wasm: WebAssembly.Module,
  mayGrow: GrowthGate = () => true,
): Promise<OrtInstance> {
  const instance = await instantiate(wasm, mayGrow);
  startEnvironment(instance);
  return instance;
}

/** Creates ORT's environment in an instance that has none. */
export function startEnvironment({ module }: OrtInstance): void {
  if (module._OrtInit(1, LOG_FATAL) !== 0) {
    throw new Error("ORT's environment could not be created.");
  }
}

/**
 * How this build's C++ constructors are run, as `traceStartup` of `src/publish/runtime.ts` has seen it. An
 * instance whose memory will be overwritten by a snapshot needs nothing of them but the main thread, whose
 * pointers are WASM globals and no memory.
 */
export interface Startup {
  /** The export that runs the constructors. */
  readonly constructors: string;
  /** The import that they call first, to set up the main thread, and what with. */
  readonly mainThread: { readonly import: string; readonly argument: number };
}

/** Makes the exports that the glue gets of the imports that it gives. */
export type Linker = (imports: WebAssembly.Imports) => WebAssembly.Exports;

/**
 * An instance for a snapshot: without the constructors, whose code V8 would compile for this once (4 ms of
 * 9 in a fresh isolate). Its memory must be restored before anything is called.
 *
 * @param memoryBytes the length that the snapshot's memory has, so that it need not grow later: V8 collects
 * garbage when it does (4 ms for MiniLM, while the bytes wait). If `mayGrow` refuses, it starts small.
 */
export function instantiateBare(
  wasm: WebAssembly.Module,
  mayGrow: GrowthGate,
  { constructors, mainThread }: Startup,
  memoryBytes = INITIAL_HEAP_BYTES,
): Promise<OrtInstance> {
  const link: Linker = (imports) => {
    const { exports } = new WebAssembly.Instance(wasm, imports);
    const start = imports["a"]?.[mainThread.import] as (argument: number) => void;
    return { ...exports, [constructors]: () => start(mainThread.argument) };
  };
  return instantiate(wasm, mayGrow, link, memoryBytes);
}

/**
 * Instantiates the module without initialising ORT.
 *
 * The emscripten glue looks at three globals, all in the synchronous part of its call: `process` (it
 * would take workerd and its `node:` shims for Node), `WebAssembly.Memory` (it asks for shared memory)
 * and `Atomics.waitAsync` (it would wait on memory that is not shared). They are replaced for that part
 * only and put back before anything else can run. The glue has no option for any of them.
 */
export function instantiate(
  wasm: WebAssembly.Module,
  mayGrow: GrowthGate,
  link: Linker = (imports) => new WebAssembly.Instance(wasm, imports).exports,
  memoryBytes = INITIAL_HEAP_BYTES,
): Promise<OrtInstance> {
  const globals = globalThis as { process?: unknown };
  const { process } = globals;
  const { Memory } = WebAssembly;
  const { waitAsync } = Atomics;
  let memory: WebAssembly.Memory | undefined;

  let starting: Promise<OrtModule>;
  try {
    globals.process = undefined;
    Object.assign(Atomics, { waitAsync: undefined });
    WebAssembly.Memory = function UnsharedMemory(limits: { initial: number; maximum: number }) {
      const isLarger = memoryBytes > limits.initial * WASM_PAGE_BYTES && mayGrow(memoryBytes);
      const initial = isLarger ? Math.ceil(memoryBytes / WASM_PAGE_BYTES) : limits.initial;
      memory = gated(new Memory({ initial, maximum: limits.maximum }), mayGrow);
      return memory;
    } as unknown as typeof WebAssembly.Memory;
    starting = createOrtModule({
      numThreads: 1,
      instantiateWasm(imports, done) {
        done({ exports: link(imports) }, wasm);
        return {};
      },
    }) as Promise<OrtModule>;
  } finally {
    WebAssembly.Memory = Memory;
    Object.assign(Atomics, { waitAsync });
    globals.process = process;
  }
  return starting.then((module) => {
    if (memory === undefined) throw new Error("The ORT glue made no memory when it was called.");
    return { module, memory };
  });
}

/** The glue grows its memory by calling `grow` on the object, so a method of its own can refuse. */
function gated(memory: WebAssembly.Memory, mayGrow: GrowthGate): WebAssembly.Memory {
  memory.grow = (pages) => {
    if (!mayGrow(memory.buffer.byteLength + pages * WASM_PAGE_BYTES)) {
      throw new RangeError("The host has no memory left for this instance.");
    }
    return WebAssembly.Memory.prototype.grow.call(memory, pages);
  };
  return memory;
}
