/** WebAssembly of the picture decoders: workerd compiles none at run time, so whoever deploys brings it. */
export interface ImageCodecs {
  readonly jpeg: WebAssembly.Module;
  readonly png: WebAssembly.Module;
  readonly webp: WebAssembly.Module;
}

/** What tasks need of the place where they run. */
export interface TaskTools {
  readonly codecs: ImageCodecs;
}
