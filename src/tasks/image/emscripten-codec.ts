import type { Codec } from "./codec.ts";

/** What the glue is given, and after its call has in it what it made. */
interface GlueModule {
  noInitialRun: boolean;
  locateFile(name: string): string;
  print(line: string): void;
  printErr(line: string): void;
  instantiateWasm(
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance) => void,
  ): WebAssembly.Exports;
  decode?(bytes: Uint8Array, ...options: readonly boolean[]): ImageData | null;
}

/** Emscripten's factory: it fills the object that it is given. */
export type Glue = (module: GlueModule) => unknown;

/** What the decoder hands its pixels to: Workers have none, and Node neither. */
class ImageData {
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly width: number;
  readonly height: number;

  constructor(data: Uint8ClampedArray<ArrayBuffer>, width: number, height: number) {
    this.data = data;
    this.width = width;
    this.height = height;
  }
}

/** Of libjpeg's warnings, those that say that it had to fill in what is missing. */
const PREMATURE = /premature end/i;

/**
 * After libjpeg's `exit` an instance has lost no more than what it had on its stack, some kilobytes of 64, and in
 * its heap: it goes on as after a `longjmp`, this many times.
 */
const MAX_EXITS = 4;

/**
 * A decoder that emscripten has compiled.
 *
 * Its factory promises a module, but where `instantiateWasm` is synchronous, the object that it is given is
 * complete when the call returns.
 *
 * @param options what its `decode` takes after the bytes: it counts its arguments
 */
export function startEmscriptenCodec(
  glue: Glue,
  wasm: WebAssembly.Module,
  ...options: readonly boolean[]
): Codec {
  let memory: WebAssembly.Memory | undefined;
  let maxBytes = Number.POSITIVE_INFINITY;
  let isPremature = false;
  let isUsable = true;
  let exits = 0;
  const module: GlueModule = {
    noInitialRun: true,
    locateFile: (name) => name,
    print() {},
    printErr(line) {
      isPremature ||= PREMATURE.test(line);
    },
    instantiateWasm(imports, done) {
      const instance = new WebAssembly.Instance(wasm, imports);
      memory = Object.values(instance.exports).find((one) => one instanceof WebAssembly.Memory);
      if (memory !== undefined) gate(memory, () => maxBytes);
      done(instance);
      return instance.exports;
    },
  };
  withGlobals(() => {
    // Refused for the same reason for which the call throws, or the decoding after it.
    void Promise.resolve(glue(module)).catch(() => undefined);
  });
  return {
    decode(bytes, limit) {
      maxBytes = limit;
      isPremature = false;
      isUsable = false;
      const image = withGlobals(() => {
        try {
          return module.decode?.(bytes, ...options);
        } catch (error) {
          isUsable = isExit(error) && ++exits < MAX_EXITS;
          throw error;
        }
      });
      isUsable = true;
      if (!image) throw new Error("The decoder returned no picture.");
      if (isPremature) throw new Error("The decoder ran out of data.");
      const { data, width, height } = image;
      return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
    },
    get isUsable() {
      return isUsable;
    },
    get memoryBytes() {
      return memory?.buffer.byteLength ?? 0;
    },
  };
}

/** The glue's own class, whose name is all that is to be seen of it. */
function isExit(error: unknown): boolean {
  return typeof error === "object" && error !== null && "status" in error;
}

/** The glue grows its memory by calling `grow` on the object, so a method of its own can refuse. */
function gate(memory: WebAssembly.Memory, maxBytes: () => number): void {
  memory.grow = (pages) => {
    if (memory.buffer.byteLength + pages * 65_536 > maxBytes()) {
      throw new RangeError("The decoder wants more memory than the picture is worth.");
    }
    return WebAssembly.Memory.prototype.grow.call(memory, pages);
  };
}

/**
 * The glue takes a Worker or Node for something that lacks `ImageData` and `self.location`, and leaves its
 * own behind for good. They are there for its calls only.
 */
function withGlobals<R>(call: () => R): R {
  const before = ["ImageData", "location"].map(
    (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const,
  );
  try {
    define("ImageData", ImageData);
    define("location", { href: "" });
    return call();
  } finally {
    for (const [name, descriptor] of before) {
      Reflect.deleteProperty(globalThis, name);
      if (descriptor !== undefined) Object.defineProperty(globalThis, name, descriptor);
    }
  }
}

function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
