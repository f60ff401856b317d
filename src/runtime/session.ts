import type { TensorSpec } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import { TrapError } from "./errors.ts";
import { checkFeed } from "./feeds.ts";
import { Heap } from "./heap.ts";
import { WORD, allocator, lastError, trapped } from "./ort-calls.ts";
import type { OrtInstance, OrtModule, Pointer } from "./ort-module.ts";
import { DATATYPES, type Tensor, arrayOf, datatypeFromOnnx, elementCount } from "./tensor.ts";

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

/** One model, ready to run, alone in its WASM instance. Calls compute on the calling thread until they return. */
export class OrtSession {
  readonly handles: SessionHandles;
  readonly #module: OrtModule;
  readonly #heap: Heap;
  readonly #allocate: (bytes: number) => Pointer;
  readonly #outputIndex: ReadonlyMap<string, number>;
  #trap: TrapError | undefined;

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

  /**
   * Runs the graph once.
   *
   * @param feeds every input by name; copied into the instance
   * @param outputs names to compute; all when absent
   * @returns the outputs by name, copied out of the instance
   * @throws NearsideError `invalid_tensor`; OrtError `inference_failed` or `out_of_memory`; TrapError
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    outputs: readonly string[] = this.outputs.map(({ name }) => name),
  ): Record<string, Tensor> {
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

    try {
      return trapped(() => this.#run(tensors, selected, table));
    } catch (error) {
      if (error instanceof TrapError) this.#trap = error;
      throw error;
    }
  }

  #run(
    tensors: readonly Tensor[],
    selected: readonly number[],
    table: Pointer,
  ): Record<string, Tensor> {
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

      const named: Record<string, Tensor> = {};
      for (const [slot, index] of selected.entries()) {
        const name = outputs[index]?.name ?? "";
        named[name] = this.#readTensor(results[slot] ?? 0, at.scratch);
      }
      return named;
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

  #createTensor(tensor: Tensor, allocate: (bytes: number) => Pointer): Pointer {
    const module = this.#module;
    const heap = this.#heap;
    const { onnx } = DATATYPES[tensor.datatype];
    let data: Pointer;
    let bytes: number;
    if (tensor.datatype === "BYTES") {
      bytes = WORD * tensor.data.length;
      data = allocate(bytes);
      for (const [index, text] of tensor.data.entries()) {
        heap.setWord(data + WORD * index, heap.writeText(text, allocate));
      }
    } else {
      const { buffer, byteOffset, byteLength } = tensor.data;
      bytes = byteLength;
      data = allocate(bytes);
      heap.bytes.set(new Uint8Array(buffer, byteOffset, byteLength), data);
    }
    const shape = module.stackAlloc(WORD * tensor.shape.length);
    for (const [axis, size] of tensor.shape.entries()) heap.setWord(shape + WORD * axis, size);
    const value = module._OrtCreateTensor(onnx, data, bytes, shape, tensor.shape.length, CPU);
    if (value === 0) throw lastError(module, heap, "inference_failed");
    return value;
  }

  #readTensor(value: Pointer, scratch: Pointer): Tensor {
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
    const bytes = heap.copy(data, count * DATATYPES[datatype].bytes);
    return { datatype, shape, data: new (arrayOf(datatype))(bytes.buffer) } as Tensor;
  }
}
