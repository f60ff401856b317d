/** The emscripten glue of onnxruntime-web's CPU build; the package ships no types for it: see `OrtModule`. */
declare module "onnxruntime-web/ort-wasm-simd-threaded.mjs" {
  interface GlueOptions {
    numThreads: number;
    instantiateWasm(
      imports: WebAssembly.Imports,
      done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
    ): object;
  }
  export default function createOrtModule(options: GlueOptions): Promise<object>;
}

/** Written beside the WASM: what a snapshot is valid for. */
declare module "*/runtime/runtime.json" {
  const identity: {
    readonly digest: string;
    readonly ortVersion: string;
    readonly startup: {
      readonly constructors: string;
      readonly mainThread: { readonly import: string; readonly argument: number };
    };
  };
  export default identity;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** Where a package declares types of its own for the file without the query. */
declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}
