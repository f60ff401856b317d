import type { TensorSpec } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import { TrapError } from "./errors.ts";
import { checkFeed } from "./feeds.ts";
import { Heap } from "./heap.ts";
import { WORD, allocator, lastError, trapped } from "./ort-calls.ts";
import type { OrtInstance, OrtModule, Pointer } from "./ort-module.ts";
import {
  DATATYPES,
  type Feed,
  type RawTensor,
  type Tensor,
  type TensorOf,
  bytesOf,
  datatypeFromOnnx,
  elementCount,
  tensorOf,
} from "./tensor.ts";

/** Where a session lives in its instance's memory: enough to find it again in a copy of that memory. */
export interface SessionPointers {
  readonly session: Pointer;
  readonly runOptions: Pointer;
  /** Words: input names, inputs, output names, outputs, four of scratch. */
  readonly table: Pointer;
  /** NUL-terminated names, owned by ORT's allocator. */
  readonly inputNames: readonly Pointer[];
  readonly outputNames: readonly Pointer[];
}

export interface SessionHandles extends SessionPointers {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** Where tensors live: ORT's DataLocation. */
const CPU = 1;

/**
 * ORT forgets to free what a failed run had computed until then: five such runs of 128 tokens make MiniLM's heap
 * grow by 7.5 MB (measured), and it never shrinks. A restored instance costs 20 to 50 ms.
 */
const MAX_FAILED_RUNS = 8;

/** One model, ready to run, alone in its WASM instance. Calls compute on the calling thread until they return. */
export class OrtSession {
  readonly handles: SessionHandles;
  readonly #module: OrtModule;
  readonly #heap: Heap;
  readonly #allocate: (bytes: number) => Pointer;
  readonly #outputIndex: ReadonlyMap<string, number>;
  #trap: TrapError | undefined;
  #failedRuns = 0;
  #isSpent = false;

  constructor(instance: OrtInstance, handles: SessionHandles) {
    this.handles = handles;
    this.#module = instance.module;
    this.#heap = new Heap(instance.memory);
    this.#allocate = allocator(instance.module);
    this.#outputIndex = new Map(handles.outputs.map(({ name }, index) => [name, index]));
  }

  get inputs(): readonly TensorSpec[] {
    return this.handles.inputs;
  }

  get outputs(): readonly TensorSpec[] {
    return this.handles.outputs;
  }

  /** Length of the instance's linear memory in bytes; it only ever grows. */
  get heapBytes(): number {
    return this.#heap.byteLength;
  }

  /** The trap that made this instance unusable, if one did. */
  get trap(): TrapError | undefined {
    return this.#trap;
  }

  /** Whether failed runs have left so much in the instance that it had better be replaced. It still runs. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /**
   * Runs the graph once.
   *
   * @param feeds every input by name; copied into the instance
   * @param outputs names to compute; all when absent
   * @returns the outputs by name, copied out of the instance
   * @throws NearsideError `invalid_tensor`; OrtError `inference_failed` or `out_of_memory`; TrapError
   */
  run(feeds: Readonly<Record<string, Feed>>, outputs?: readonly string[]): Record<string, Tensor> {
    return this.runAndRead(feeds, outputs, (tensors) =>
      Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, copyOf(tensor)])),
    );
  }

  /**
   * Runs the graph once, and lets its outputs be read where they lie.
   *
   * @param feeds every input by name; copied into the instance
   * @param outputs names to compute; undefined for all
   * @param read gets the outputs by name, as views of the instance's memory: they are of no use once it has
   *   returned, and nothing may run on this session before
   * @returns what `read` returns
   * @throws as `run`, and what `read` throws
   */
  runAndRead<R>(
    feeds: Readonly<Record<string, Feed>>,
    outputs: readonly string[] = this.outputs.map(({ name }) => name),
    read: (tensors: Record<string, Tensor>) => R,
  ): R {
    if (this.#trap) throw this.#trap;
    const { inputs, table } = this.handles;
    const tensors = inputs.map((spec) => checkFeed(spec, feeds));
    for (const name of Object.keys(feeds)) {
      if (!inputs.some((spec) => spec.name === name)) {
        throw new NearsideError("invalid_tensor", `The model has no input "${name}".`, {
          field: `inputs.${name}`,
        });
      }
    }
    const selected = outputs.map((name) => {
      const index = this.#outputIndex.get(name);
      if (index !== undefined) return index;
      throw new NearsideError("invalid_tensor", `The model has no output "${name}".`, {
        field: `outputs.${name}`,
      });
    });

    // What a reader throws is no trap, whatever it is.
    const reading = (named: Record<string, Tensor>): Read<R> => {
      try {
        return { value: read(named) };
      } catch (error) {
        return { error };
      }
    };
    let result: Read<R>;
    const heapBytes = this.heapBytes;
    try {
      result = trapped(() => this.#run(tensors, selected, table, reading));
    } catch (error) {
      if (error instanceof TrapError) this.#trap = error;
      else this.#noteFailure(error, heapBytes);
      throw error;
    }
    if ("error" in result) throw result.error;
    return result.value;
  }

  #noteFailure(error: unknown, heapBytesBefore: number): void {
    this.#failedRuns++;
    this.#isSpent ||=
      this.#failedRuns >= MAX_FAILED_RUNS ||
      this.heapBytes > heapBytesBefore ||
      (error instanceof NearsideError && error.code === "out_of_memory");
  }

  #run<R>(
    tensors: readonly Feed[],
    selected: readonly number[],
    table: Pointer,
    read: (tensors: Record<string, Tensor>) => R,
  ): R {
    const module = this.#module;
    const heap = this.#heap;
    const { session, runOptions, inputNames, outputNames, outputs } = this.handles;
    const at = {
      inputNames: table,
      inputs: table + WORD * inputNames.length,
      outputNames: table + 2 * WORD * inputNames.length,
      outputs: table + WORD * (2 * inputNames.length + outputNames.length),
      scratch: table + 2 * WORD * (inputNames.length + outputNames.length),
    };
    const stack = module.stackSave();
    const buffers: Pointer[] = [];
    const values: Pointer[] = [];
    const allocate = (bytes: number): Pointer => {
      const pointer = this.#allocate(bytes);
      buffers.push(pointer);
      return pointer;
    };
    const results: Pointer[] = [];
    let whole = true;
    try {
      for (const [index, tensor] of tensors.entries()) {
        const value = this.#createTensor(tensor, allocate);
        values.push(value);
        heap.setWord(at.inputNames + WORD * index, inputNames[index] ?? 0);
        heap.setWord(at.inputs + WORD * index, value);
      }
      for (const [slot, index] of selected.entries()) {
        heap.setWord(at.outputNames + WORD * slot, outputNames[index] ?? 0);
        heap.setWord(at.outputs + WORD * slot, 0);
      }
      const status = module._OrtRun(
        session,
        at.inputNames,
        at.inputs,
        values.length,
        at.outputNames,
        selected.length,
        at.outputs,
        runOptions,
      );
      for (const slot of selected.keys()) results.push(heap.word(at.outputs + WORD * slot));
      if (status !== 0) throw lastError(module, heap, "inference_failed");

      const located = selected.map(
        (index, slot) =>
          [outputs[index]?.name ?? "", this.#locate(results[slot] ?? 0, at.scratch)] as const,
      );
      // Only now: finding one out may grow the memory, which detaches views of it.
      return read(Object.fromEntries(located.map(([name, found]) => [name, this.#view(found)])));
    } catch (error) {
      // After a trap the allocator's own state can't be trusted: the whole instance goes.
      whole = error instanceof NearsideError;
      throw error;
    } finally {
      if (whole) {
        for (const result of results) if (result !== 0) module._OrtReleaseTensor(result);
        for (const value of values) module._OrtReleaseTensor(value);
        for (const buffer of buffers) module._free(buffer);
        module.stackRestore(stack);
      }
    }
  }

  #createTensor(tensor: Feed, allocate: (bytes: number) => Pointer): Pointer {
    const module = this.#module;
    const heap = this.#heap;
    const { onnx } = DATATYPES[tensor.datatype];
    let data: Pointer;
    let bytes: number;
    if (!("bytes" in tensor) && tensor.datatype === "BYTES") {
      bytes = WORD * tensor.data.length;
      data = allocate(bytes);
      for (const [index, text] of tensor.data.entries()) {
        heap.setWord(data + WORD * index, heap.writeText(text, allocate));
      }
    } else {
      const source = "bytes" in tensor ? tensor.bytes : bytesOf(tensor);
      bytes = source.length;
      data = allocate(bytes);
      heap.bytes.set(source, data);
    }
    const shape = module.stackAlloc(WORD * tensor.shape.length);
    for (const [axis, size] of tensor.shape.entries()) heap.setWord(shape + WORD * axis, size);
    const value = module._OrtCreateTensor(onnx, data, bytes, shape, tensor.shape.length, CPU);
    if (value === 0) throw lastError(module, heap, "inference_failed");
    return value;
  }

  #locate(value: Pointer, scratch: Pointer): Located {
    const module = this.#module;
    const heap = this.#heap;
    if (module._OrtGetTensorData(value, scratch, scratch + 4, scratch + 8, scratch + 12) !== 0) {
      throw lastError(module, heap, "inference_failed");
    }
    const data = heap.word(scratch + 4);
    const dimensions = heap.word(scratch + 8);
    const rank = heap.word(scratch + 12);
    const shape = Array.from({ length: rank }, (_, axis) => heap.word(dimensions + WORD * axis));
    module._OrtFree(dimensions);

    const datatype = datatypeFromOnnx(heap.word(scratch));
    const count = elementCount(shape);
    if (datatype === undefined) {
      throw new NearsideError(
        "inference_failed",
        "The model answered with a datatype that has no wire form.",
      );
    }
    if (datatype === "BYTES") {
      // ORT hands out a copy, ours to free: an offset for each string, then their bytes, then one NUL.
      const text = Array.from({ length: count }, (_, index) => {
        const start = heap.word(data + WORD * index);
        const isLast = index === count - 1;
        const end = isLast ? heap.bytes.indexOf(0, start) : heap.word(data + WORD * (index + 1));
        return heap.text(start, end - start);
      });
      module._free(data);
      return { datatype, shape, data: text };
    }
    return { datatype, shape, pointer: data, bytes: count * DATATYPES[datatype].bytes };
  }

  #view(found: Located): Tensor {
    if (!("pointer" in found)) return found;
    const { datatype, shape, pointer, bytes } = found;
    return tensorOf({
      datatype,
      shape,
      bytes: this.#heap.bytes.subarray(pointer, pointer + bytes),
    });
  }
}

type Read<R> = { readonly value: R } | { readonly error: unknown };

/** Where an output's bytes lie; strings have been read. */
type Located =
  | TensorOf<"BYTES">
  | (Pick<RawTensor, "datatype" | "shape"> & { readonly pointer: Pointer; readonly bytes: number });

function copyOf(tensor: Tensor): Tensor {
  return tensor.datatype === "BYTES"
    ? tensor
    : ({ ...tensor, data: tensor.data.slice() } as Tensor);
}
