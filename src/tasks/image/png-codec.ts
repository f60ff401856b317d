import type { Codec, RgbaImage } from "./codec.ts";

/** Exports of @jsquash/png that decoding needs. */
interface PngExports {
  readonly memory: WebAssembly.Memory;
  __wbindgen_malloc(bytes: number, alignment: number): number;
  __wbindgen_free(pointer: number, bytes: number, alignment: number): void;
  __wbindgen_add_to_stack_pointer(bytes: number): number;
  decode(pointer: number, bytes: number): unknown;
}

/** The import that gets the pixels; the rest of the name is a hash. */
const NEW_IMAGE = /^__wbg_newwithownedu8clampedarray/;
const THROW = "__wbindgen_throw";

/** What throws here, by its own will, loses what it had in memory, and nothing else: it goes on so many times. */
const MAX_FAILURES = 8;

/**
 * The PNG decoder, with glue of our own: the package's keeps one instance for ever, even one that has
 * trapped.
 */
export function startPngCodec(wasm: WebAssembly.Module): Codec {
  let image: RgbaImage | undefined;
  let isUsable = true;
  let hasGivenUp = false;
  let failures = 0;
  const wbg: Record<string, (...values: number[]) => number> = {};
  for (const { name } of WebAssembly.Module.imports(wasm)) {
    wbg[name] = () => {
      hasGivenUp = true;
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
      [image, isUsable, hasGivenUp] = [undefined, false, false];
      const stack = exports.__wbindgen_add_to_stack_pointer(0);
      try {
        // The decoder frees it.
        const pointer = exports.__wbindgen_malloc(bytes.length, 1);
        new Uint8Array(exports.memory.buffer).set(bytes, pointer);
        exports.decode(pointer, bytes.length);
        if (image === undefined) throw new Error("The decoder returned no picture.");
        isUsable = true;
        return image;
      } catch (error) {
        isUsable = hasGivenUp && ++failures < MAX_FAILURES;
        const lost = stack - exports.__wbindgen_add_to_stack_pointer(0);
        exports.__wbindgen_add_to_stack_pointer(lost);
        throw error;
      }
    },
    get isUsable() {
      return isUsable;
    },
    get memoryBytes() {
      return exports.memory.buffer.byteLength;
    },
  };
}
