import { describe, expect, it } from "vitest";

import wasm from "../../../.nearside/runtime/ort.wasm";
import { externalize } from "../../../src/publish/onnx/externalize.ts";
import { OrtError, TrapError } from "../../../src/runtime/errors.ts";
import { startOrt } from "../../../src/runtime/ort-module.ts";
import { createSession } from "../../../src/runtime/create-session.ts";
import { OrtSession } from "../../../src/runtime/session.ts";
import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import {
  DATATYPES,
  type Datatype,
  type Tensor,
  arrayOf,
  floatsOfBf16,
  toBf16,
} from "../../../src/runtime/tensor.ts";
import {
  gatherGraph,
  identityGraph,
  linearGraph,
  outerProductGraph,
} from "../../support/graphs.ts";

async function sessionOf(graph: Uint8Array): Promise<OrtSession> {
  return createSession(await startOrt(wasm), { graph });
}

function sample(datatype: Datatype, shape: number[]): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  if (datatype === "BYTES") {
    const words = ["", "ä", "日本語", "a longer string than sixteen bytes", "😀"];
    return { datatype, shape, data: Array.from({ length: count }, (_, i) => words[i % 5] ?? "") };
  }
  const array = new (arrayOf(datatype))(count);
  for (let index = 0; index < count; index++) {
    const value = datatype === "BOOL" ? index % 2 : index + 1;
    array[index] =
      array instanceof BigInt64Array || array instanceof BigUint64Array ? BigInt(value) : value;
  }
  return { datatype, shape, data: array } as Tensor;
}

describe("startOrt", () => {
  it("leaves every global as it was and uses memory that is not shared", async () => {
    const before = Object.getOwnPropertyNames(globalThis).map((name) => [
      name,
      Reflect.get(globalThis, name),
    ]);
    const { Memory } = WebAssembly;
    const { waitAsync } = Atomics;
    const { memory } = await startOrt(wasm);
    expect(memory.buffer).toBeInstanceOf(ArrayBuffer);
    expect(WebAssembly.Memory).toBe(Memory);
    expect(Atomics.waitAsync).toBe(waitAsync);
    expect(
      Object.getOwnPropertyNames(globalThis).map((name) => [name, Reflect.get(globalThis, name)]),
    ).toEqual(before);
  });
});

describe("OrtSession", () => {
  it.each(Object.keys(DATATYPES) as Datatype[])("carries %s in and out", async (datatype) => {
    const session = await sessionOf(identityGraph(datatype, 2));
    expect(session.inputs).toEqual([{ name: "x", datatype, shape: [-1, -1] }]);
    for (const shape of [
      [2, 3],
      [1, 1],
      [5, 7],
      [0, 4],
      [3, 0],
    ]) {
      const x = sample(datatype, shape);
      expect(session.run({ x })).toEqual({ y: x });
    }
    const scalar = sample(datatype, []);
    expect((await sessionOf(identityGraph(datatype, 0))).run({ x: scalar })).toEqual({ y: scalar });
  });

  it("computes with BF16 where ORT does, and gives it out as bits", async () => {
    const graph = new GraphBuilder("bf16");
    graph.input("x", "FP32", ["n"]);
    graph.op("Cast", ["x"], { to: DATATYPES.BF16.onnx }, "half");
    graph.op("Cast", ["half"], { to: DATATYPES.FP32.onnx }, "whole");
    graph.output("half", "BF16", ["n"]);
    graph.output("whole", "FP32", ["n"]);
    const session = await sessionOf(graph.toBytes());
    const values = [1, -2.5, 1 / 3, 1e-30];
    const x = { datatype: "FP32", shape: [4], data: Float32Array.from(values) } as const;
    const { half, whole } = session.run({ x });
    const bits = Uint16Array.from(values, toBf16);
    expect(half).toEqual({ datatype: "BF16", shape: [4], data: bits });
    expect(whole?.data).toEqual(floatsOfBf16(bits));
  });

  it("loads weights as external data, with the same outputs", async () => {
    const onnx = linearGraph(64, 32);
    const { graph, weights } = externalize(onnx);
    if (weights === undefined) throw new Error("the weights are large enough to be moved");
    const split = createSession(await startOrt(wasm), {
      graph,
      weights: { name: "weights.bin", data: weights },
    });
    const x = sample("FP32", [3, 64]);
    expect(split.run({ x })).toEqual((await sessionOf(onnx)).run({ x }));
  });

  it("computes only the outputs asked for", async () => {
    const session = await sessionOf(linearGraph(2, 2));
    const x = sample("FP32", [1, 2]);
    expect(Object.keys(session.run({ x }))).toEqual(["y", "sum"]);
    expect(Object.keys(session.run({ x }, ["sum"]))).toEqual(["sum"]);
  });

  it("refuses feeds that do not fit the signature, and goes on", async () => {
    const session = await sessionOf(linearGraph(2, 2));
    const x = sample("FP32", [1, 2]);
    const bad: [Record<string, Tensor>, RegExp][] = [
      [{}, /"x" is missing/],
      [{ x, z: x }, /no input "z"/],
      [{ x: sample("FP64", [1, 2]) }, /takes FP32, not FP64/],
      [{ x: sample("FP32", [2]) }, /takes shape \[-1, 2\], not \[2\]/],
      [{ x: { ...x, shape: [2, 2] } as Tensor }, /has 2 elements where its shape \[2, 2\] holds 4/],
    ];
    for (const [feeds, message] of bad) {
      expect(() => session.run(feeds)).toThrow(message);
      expect(session.run({ x })).toBeDefined();
    }
    expect(() => session.run({ x }, ["nope"])).toThrow(/no output "nope"/);
    const strings = await sessionOf(identityGraph("BYTES", 1));
    expect(() => strings.run({ x: { datatype: "BYTES", shape: [1], data: ["a\0b"] } })).toThrow(
      /NUL/,
    );
  });

  it("reports ORT's errors in ORT's words, without places in its source", async () => {
    const session = await sessionOf(gatherGraph(4));
    const index = (value: bigint): Tensor => ({
      datatype: "INT64",
      shape: [1],
      data: BigInt64Array.of(value),
    });
    const error = catchError(() => session.run({ index: index(9n) }));
    expect(error).toBeInstanceOf(OrtError);
    expect((error as OrtError).code).toBe("inference_failed");
    expect((error as OrtError).message).toMatch(/out of data bounds|indices element/);
    expect((error as OrtError).message).not.toMatch(/onnxruntime|\.cc/);
    expect(session.run({ index: index(1n) })["y"]?.data).toEqual(Float32Array.of(2, 3));

    const instance = await startOrt(wasm);
    const garbage = catchError(() => createSession(instance, { graph: new Uint8Array([1, 2, 3]) }));
    expect(garbage).toMatchObject({ name: "OrtError", code: "model_load_failed", ortCode: 7 });
  });

  it("fails with out_of_memory where the memory may not grow, and works again", async () => {
    const limit = 40 * 1024 * 1024;
    const session = createSession(await startOrt(wasm, (bytes) => bytes <= limit), {
      graph: outerProductGraph(),
    });
    const x = (n: number): Tensor => ({
      datatype: "FP32",
      shape: [n, 1],
      data: new Float32Array(n).fill(2),
    });
    expect(session.run({ x: x(100) })["y"]?.shape).toEqual([100, 100]);
    expect(catchError(() => session.run({ x: x(5000) }))).toMatchObject({ code: "out_of_memory" });
    expect(catchError(() => session.run({ x: x(20_000_000) }))).toMatchObject({
      code: "out_of_memory",
    });
    expect(session.run({ x: x(100) })["y"]?.data[0]).toBe(4);
    expect(session.heapBytes).toBeLessThanOrEqual(limit);
  });

  it("is spent after eight failed runs, and goes on", async () => {
    const session = await sessionOf(gatherGraph(4));
    const look = (index: bigint) =>
      session.run({ index: { datatype: "INT64", shape: [1], data: BigInt64Array.of(index) } });
    const spent = Array.from({ length: 9 }, () => {
      expect(() => look(9n)).toThrow(OrtError);
      return session.isSpent;
    });
    expect(spent).toEqual([...Array<boolean>(7).fill(false), true, true]);
    expect(look(1n)["y"]?.data).toEqual(Float32Array.of(2, 3));
  });

  it("is not spent by what is refused before it runs", async () => {
    const session = await sessionOf(gatherGraph(4));
    for (let call = 0; call < 20; call++) expect(() => session.run({})).toThrow("is missing");
    expect(session.isSpent).toBe(false);
  });

  it("is spent at once when it has run out of memory, or has grown in vain", async () => {
    let mayGrow = false;
    const instance = await startOrt(wasm, () => mayGrow);
    const session = createSession(instance, { graph: outerProductGraph() });
    const column: Tensor = {
      datatype: "FP32",
      shape: [6_000, 1],
      data: new Float32Array(6_000),
    };
    expect(() => session.run({ x: column })).toThrow(OrtError);
    expect(session.isSpent).toBe(true);
    mayGrow = true;
    expect(session.run({ x: column })["y"]?.shape).toEqual([6_000, 6_000]);
  });

  it("is unusable after a trap, and says so", async () => {
    const instance = await startOrt(wasm);
    const { handles } = createSession(instance, { graph: linearGraph(2, 2) });
    // A handle that points nowhere makes the real code leave its memory.
    const session = new OrtSession(instance, { ...handles, session: 0xffff_fff0 });
    const x = sample("FP32", [1, 2]);
    const error = catchError(() => session.run({ x }));
    expect(error).toBeInstanceOf(TrapError);
    expect(session.trap).toBe(error);
    expect(catchError(() => session.run({ x }))).toBe(error);
  });

  it("frees everything on every path: ten thousand runs leave the heap where it was", async () => {
    const instance = await startOrt(wasm);
    const live = new Set<number>();
    const { _malloc, _free } = instance.module;
    Object.assign(instance.module, {
      _malloc(bytes: number) {
        const pointer = _malloc(bytes);
        if (pointer !== 0) live.add(pointer);
        return pointer;
      },
      _free(pointer: number) {
        // ORT's own allocations (string outputs) are freed here too; those were never ours to count.
        live.delete(pointer);
        _free(pointer);
      },
    });
    const session = createSession(instance, { graph: gatherGraph(64) });
    const good = (n: number): Tensor => ({
      datatype: "INT64",
      shape: [n],
      data: new BigInt64Array(n).fill(3n),
    });
    const bad: Tensor = { datatype: "INT64", shape: [1], data: BigInt64Array.of(99n) };
    const cycle = (run: number): void => {
      if (run % 10 === 9) catchError(() => session.run({ index: bad }));
      else session.run({ index: good(run % 50) });
    };
    for (let run = 0; run < 200; run++) cycle(run);
    const held = live.size;
    const heap = session.heapBytes;
    const freeBefore = probe(instance.module);
    for (let run = 0; run < 10_000; run++) cycle(run);
    expect(live.size).toBe(held);
    expect(session.heapBytes).toBe(heap);
    expect(probe(instance.module)).toBe(freeBefore);
  });

  it("frees string outputs: ten thousand runs leave the heap where it was", async () => {
    const instance = await startOrt(wasm);
    const session = createSession(instance, { graph: identityGraph("BYTES", 1) });
    const x = sample("BYTES", [40]);
    for (let run = 0; run < 100; run++) session.run({ x });
    const before = probe(instance.module);
    for (let run = 0; run < 10_000; run++) session.run({ x });
    expect(probe(instance.module)).toBe(before);
  });
});

function catchError(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Bytes that can still be taken in blocks of 64 KiB: falls when anything leaks, ORT's own allocations included. */
function probe(module: { _malloc(bytes: number): number; _free(pointer: number): void }): number {
  const blocks: number[] = [];
  for (let index = 0; index < 64; index++) blocks.push(module._malloc(65_536));
  const top = Math.max(...blocks);
  for (const block of blocks) module._free(block);
  return top;
}
