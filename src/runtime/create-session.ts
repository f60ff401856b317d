import type { TensorSpec } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import { Heap } from "./heap.ts";
import { WORD, allocator, lastError, trapped } from "./ort-calls.ts";
import {
  type ExternalData,
  LOG_FATAL,
  type OrtInstance,
  type OrtModule,
  type Pointer,
} from "./ort-module.ts";
import { OrtSession, type SessionHandles } from "./session.ts";
import { datatypeFromOnnx } from "./tensor.ts";

export interface SessionSource {
  /** The ONNX model; with `weights`, its large initialisers point into them. */
  readonly graph: Uint8Array;
  readonly weights?: { readonly name: string; readonly data: ExternalData };
}

const ALL_OPTIMIZATIONS = 99;
const SEQUENTIAL = 0;
const WARNING_VERBOSITY = 0;

/**
 * Creates a session. The graph is copied into the instance for the call only; ORT copies each range of
 * external data straight to where the tensor stays, so weights never stand in the heap twice.
 *
 * @throws OrtError `model_load_failed` with ORT's words, or `out_of_memory`
 */
export function createSession(instance: OrtInstance, source: SessionSource): OrtSession {
  const { module } = instance;
  const heap = new Heap(instance.memory);
  const allocate = allocator(module);
  return trapped(() => {
    // Patterns are cached for each set of input shapes and never forgotten; the arena is off in 32-bit builds.
    const options = module._OrtCreateSessionOptions(
      ALL_OPTIMIZATIONS,
      false,
      false,
      SEQUENTIAL,
      false,
      0,
      0,
      LOG_FATAL,
      WARNING_VERBOSITY,
      0,
    );
    const graph = allocate(source.graph.length);
    let session = 0;
    try {
      heap.bytes.set(source.graph, graph);
      if (source.weights) module.mountExternalData(source.weights.name, source.weights.data);
      session = module._OrtCreateSession(graph, source.graph.length, options);
      if (session === 0) throw lastError(module, heap, "model_load_failed");
    } finally {
      module.unmountExternalData();
      module._free(graph);
      module._OrtReleaseSessionOptions(options);
    }
    return new OrtSession(instance, describe(module, heap, session));
  });
}

/** Reads the names, datatypes and shapes of a fresh session and allocates what every run reuses. */
function describe(module: OrtModule, heap: Heap, session: Pointer): SessionHandles {
  const stack = module.stackSave();
  const scratch = module.stackAlloc(2 * WORD);
  if (module._OrtGetInputOutputCount(session, scratch, scratch + WORD) !== 0) {
    throw lastError(module, heap, "model_load_failed");
  }
  const inputCount = heap.word(scratch);
  const outputCount = heap.word(scratch + WORD);
  const names: Pointer[] = [];
  const specs: TensorSpec[] = [];
  for (let index = 0; index < inputCount + outputCount; index++) {
    if (module._OrtGetInputOutputMetadata(session, index, scratch, scratch + WORD) !== 0) {
      throw lastError(module, heap, "model_load_failed");
    }
    const name = heap.word(scratch);
    const type = heap.word(scratch + WORD);
    const text = module.UTF8ToString(name);
    const datatype = datatypeFromOnnx(heap.word(type));
    if (datatype === undefined) {
      throw new NearsideError(
        "model_load_failed",
        `"${text}" is not a tensor of a supported datatype.`,
      );
    }
    // Metadata: element type, rank, then a name (or 0) for each dimension, then a size for each.
    const rank = heap.word(type + WORD);
    const shape = Array.from({ length: rank }, (_, axis) => {
      const named = heap.word(type + WORD * (2 + axis)) !== 0;
      const size = heap.word(type + WORD * (2 + rank + axis)) | 0;
      return named || size < 0 ? -1 : size;
    });
    module._OrtFree(type);
    names.push(name);
    specs.push({ name: text, datatype, shape });
  }
  module.stackRestore(stack);
  return {
    session,
    runOptions: module._OrtCreateRunOptions(LOG_FATAL, WARNING_VERBOSITY, false, 0),
    table: allocator(module)(WORD * (2 * (inputCount + outputCount) + 4)),
    inputNames: names.slice(0, inputCount),
    outputNames: names.slice(inputCount),
    inputs: specs.slice(0, inputCount),
    outputs: specs.slice(inputCount),
  };
}
