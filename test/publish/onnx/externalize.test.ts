import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { TensorProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";

import { externalize } from "../../../src/publish/onnx/externalize.ts";
import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import { isExternal, readModel, writeModel } from "../../../src/publish/onnx/model.ts";
import { signature } from "../../../src/publish/onnx/signature.ts";
import { DATATYPES } from "../../../src/runtime/tensor.ts";
import { linearGraph } from "../../support/graphs.ts";
import { fp32, noise, wasmSession } from "../support.ts";

/** Weights of several datatypes and sizes, of which `y` depends on all. */
function mixedGraph(sizes: readonly number[]): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("mixed");
  let sum = graph.input("x", "FP32", ["n"]);
  for (const [index, size] of sizes.entries()) {
    const floats = noise(size, index);
    const name = `W${index}`;
    const weights =
      index % 2 === 0
        ? graph.floats(name, floats, [size])
        : graph.initializer(
            name,
            "INT8",
            [size],
            Int8Array.from(floats, (value) => value * 100),
          );
    const values = graph.op("Cast", [weights], { to: DATATYPES.FP32.onnx });
    sum = graph.op("Add", [sum, graph.op("ReduceSum", [values], { keepdims: 0 })]);
  }
  graph.op("Identity", [sum], {}, "y");
  graph.output("y", "FP32", ["n"]);
  return graph.toBytes();
}

function entriesOf(onnx: Uint8Array) {
  return readModel(onnx)
    .graph.initializer.filter(isExternal)
    .map(({ name, externalData }) => {
      const entries = Object.fromEntries(externalData.map(({ key, value }) => [key, value]));
      return {
        name,
        location: entries["location"],
        offset: Number(entries["offset"]),
        length: Number(entries["length"]),
      };
    });
}

describe("externalize", () => {
  it("computes the same in the runtime as before", async () => {
    const x = fp32([2], [1, -2]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 0, max: 600 }),
        async (sizes, minBytes) => {
          const onnx = mixedGraph(sizes);
          const { graph, weights } = externalize(onnx, "w.bin", minBytes);
          const split = await wasmSession({
            graph,
            ...(weights && { weights: { name: "w.bin", data: weights } }),
          });
          expect(split.run({ x })).toEqual((await wasmSession({ graph: onnx })).run({ x }));
          expect(signature(graph)).toEqual(signature(onnx));
        },
      ),
      { numRuns: 15 },
    );
  });

  it("moves what is large, aligned, without overlaps, and nothing else", () => {
    const { graph, weights } = externalize(mixedGraph([300, 300, 1, 255, 256]), "w.bin", 256);
    expect(entriesOf(graph)).toEqual([
      { name: "W0", location: "w.bin", offset: 0, length: 1200 },
      { name: "W1", location: "w.bin", offset: 1216, length: 300 },
      { name: "W4", location: "w.bin", offset: 1536, length: 1024 },
    ]);
    expect(weights).toHaveLength(2560);
  });

  it("names no file when nothing is large enough", () => {
    const onnx = mixedGraph([8]);
    expect(externalize(onnx)).toEqual({ graph: onnx, weights: undefined });
  });

  it("moves 1024 bytes, but not 1023, when it isn't told otherwise", () => {
    expect(externalize(mixedGraph([256])).weights).toHaveLength(1024);
    expect(externalize(mixedGraph([1, 1023])).weights).toBeUndefined();
  });

  it("gives the same bytes twice, and leaves the model alone", () => {
    const onnx = linearGraph(64, 32);
    const before = onnx.slice();
    expect(externalize(onnx)).toEqual(externalize(onnx));
    expect(onnx).toEqual(before);
  });

  it("leaves strings and empty tensors where they are, and moves types it doesn't know", () => {
    const model = readModel(linearGraph(64, 32));
    model.graph.initializer.push(
      create(TensorProtoSchema, {
        name: "words",
        dataType: DATATYPES.BYTES.onnx,
        dims: [1n],
        stringData: [new Uint8Array(5000)],
      }),
      create(TensorProtoSchema, { name: "empty", dataType: 1, dims: [0n, 5n] }),
      create(TensorProtoSchema, {
        name: "bfloat16",
        dataType: 16,
        dims: [1000n],
        rawData: new Uint8Array(2000),
      }),
    );
    expect(entriesOf(externalize(writeModel(model)).graph).map(({ name }) => name)).toEqual([
      "W",
      "bfloat16",
    ]);
  });

  it("refuses a model whose weights are in another file already", () => {
    const { graph } = externalize(linearGraph(64, 32));
    expect(() => externalize(graph)).toThrow(
      expect.objectContaining({
        code: "already_external",
        message: '"W" has external data already.',
      }),
    );
  });
});
