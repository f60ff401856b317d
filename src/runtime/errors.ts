import { type ErrorCode, NearsideError } from "../errors.ts";

/** OrtErrorCode of onnxruntime_c_api.h, where Nearside tells them apart. */
export const ORT_INVALID_PROTOBUF = 7;

/** A status that ORT returned, with ORT's own words (less the places in its source). */
export class OrtError extends NearsideError {
  override readonly name = "OrtError";
  /** OrtErrorCode: 1 FAIL, 2 INVALID_ARGUMENT, 6 RUNTIME_EXCEPTION, 7 INVALID_PROTOBUF, … */
  readonly ortCode: number;

  constructor(code: ErrorCode, ortCode: number, words: string) {
    const isOutOfMemory = OUT_OF_MEMORY.test(words);
    super(
      isOutOfMemory ? "out_of_memory" : code,
      isOutOfMemory
        ? "This input needs more memory than the model's instance may use; send less of it at once."
        : forTheCaller(words),
    );
    this.ortCode = ortCode;
  }
}

/** The instance executed `unreachable`, ran out of stack or left its memory: it must not be used again. */
export class TrapError extends NearsideError {
  override readonly name = "TrapError";

  constructor(cause: unknown) {
    super("instance_trapped", "The model's runtime crashed on this input and was discarded.", {
      cause,
    });
  }
}

const OUT_OF_MEMORY = /bad_alloc|BFCArena|[Ff]ailed to allocate memory/;

/**
 * ORT prefixes messages with `/onnxruntime_src/…/file.cc:123 function signature`, and wraps those of a node in
 * those of the nodes around it, by their names: no caller's business.
 */
function forTheCaller(words: string): string {
  return words
    .replace(/^.*Status Message: /s, "")
    .replace(/\S*\/[\w/.-]+\.(?:cc|h|cpp|hpp):\d+ [^\n]*?\) ?(?:const )?(?:\[[^\]]*\] )?/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
