import type { Codec, RgbaImage } from "./codec.ts";

/** Exports of @jsquash/png that decoding needs. */
interface PngExports {
  readonly memory: WebAssembly.Memory;
  __wbindgen_malloc(bytes: number, alignment: number): number;
  __wbindgen_free(pointer: number, bytes: number, alignment: number): void;
  decode(pointer: number, bytes: number): unknown;
}

/** The import that gets the pixels; the rest of the name is a hash. */
const NEW_IMAGE = /^__wbg_newwithownedu8clampedarray/;
const THROW = "__wbindgen_throw";

/**
 * The PNG decoder, with glue of our own: the package's keeps one instance for ever, even one that has
 * trapped.
 */
export function startPngCodec(wasm: WebAssembly.Module): Codec {
  let image: RgbaImage | undefined;
  const wbg: Record<string, (...values: number[]) => number> = {};
  for (const { name } of WebAssembly.Module.imports(wasm)) {
    wbg[name] = () => {
      throw new Error(name === THROW ? "The decoder gave up." : `The decoder called "${name}".`);
    };
    if (!NEW_IMAGE.test(name)) continue;
    wbg[name] = (pointer = 0, bytes = 0, width = 0, height = 0) => {
      const data = new Uint8Array(exports.memory.buffer.slice(pointer, pointer + bytes));
      exports.__wbindgen_free(pointer, bytes, 1);
      image = { data, width, height };
      return 0;
    };
  }
  const exports = new WebAssembly.Instance(wasm, { wbg }).exports as unknown as PngExports;
  return {
    decode(bytes) {
      image = undefined;
      // The decoder frees it.
      const pointer = exports.__wbindgen_malloc(bytes.length, 1);
      new Uint8Array(exports.memory.buffer).set(bytes, pointer);
      exports.decode(pointer, bytes.length);
      if (image === undefined) throw new Error("The decoder returned no picture.");
      return image;
    },
    get memoryBytes() {
      return exports.memory.buffer.byteLength;
    },
  };
}
