import { NearsideError } from "../errors.ts";
import { OrtError, TrapError } from "./errors.ts";
import type { Heap } from "./heap.ts";
import type { OrtModule, Pointer } from "./ort-module.ts";

/** Bytes of a pointer, a size and a dimension in 32-bit WASM. */
export const WORD = 4;

/** @throws NearsideError `out_of_memory` from the function that it returns */
export function allocator(module: OrtModule): (bytes: number) => Pointer {
  return (bytes) => {
    // One byte at least: a tensor without elements still needs an address.
    const pointer = module._malloc(Math.max(1, bytes));
    if (pointer === 0) {
      throw new NearsideError(
        "out_of_memory",
        "This input needs more memory than the model's instance may use.",
      );
    }
    return pointer;
  };
}

/** ORT's last error, to be thrown. */
export function lastError(
  module: OrtModule,
  heap: Heap,
  code: "model_load_failed" | "inference_failed",
): OrtError {
  const stack = module.stackSave();
  const scratch = module.stackAlloc(2 * WORD);
  module._OrtGetLastError(scratch, scratch + WORD);
  const error = new OrtError(
    code,
    heap.word(scratch),
    module.UTF8ToString(heap.word(scratch + WORD)),
  );
  module.stackRestore(stack);
  return error;
}

/** Everything that is not an error of ours came out of WASM uncaught: a trap, or a C++ exception with nobody left to catch it. */
export function trapped<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw error instanceof NearsideError ? error : new TrapError(error);
  }
}
