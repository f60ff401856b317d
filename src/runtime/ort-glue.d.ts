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

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
