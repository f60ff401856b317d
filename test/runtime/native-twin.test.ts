import path from "node:path";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { graphFolders } from "../../src/cli/examples.ts";
import { buildModel } from "../../src/publish/build.ts";
import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import { feedsOf, readFixtures } from "../../src/publish/source.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import { type Datatype, DATATYPES, type Tensor, arrayOf } from "../../src/runtime/tensor.ts";
import { cosine, expectNear, fp32, noise, rowsOf, runWasm } from "../publish/support.ts";
import { gatherGraph, identityGraph } from "../support/graphs.ts";

const folders = await graphFolders();

async function runNative(
  graph: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> {
  const session = await ReferenceSession.create(graph);
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

const WIDTH = 6;

/** Layers that a `[batch, WIDTH]` activation can go through, by the operators that shipped models use. */
const LAYERS: Record<string, (graph: GraphBuilder, x: string, name: string) => string> = {
  MatMul: (graph, x, name) =>
    graph.op("MatMul", [x, graph.floats(`${name}_W`, noise(WIDTH * WIDTH), [WIDTH, WIDTH])]),
  Gemm: (graph, x, name) =>
    graph.op(
      "Gemm",
      [
        x,
        graph.floats(`${name}_W`, noise(WIDTH * WIDTH, 2), [WIDTH, WIDTH]),
        graph.floats(`${name}_b`, noise(WIDTH, 3), [WIDTH]),
      ],
      { transB: 1, alpha: { float: 0.5 }, beta: { float: -1 } },
    ),
  Relu: (graph, x) => graph.op("Relu", [x]),
  Erf: (graph, x) => graph.op("Erf", [x]),
  Sigmoid: (graph, x) => graph.op("Sigmoid", [x]),
  Tanh: (graph, x) => graph.op("Tanh", [x]),
  Softmax: (graph, x) => graph.op("Softmax", [x], { axis: -1 }),
  LayerNormalization: (graph, x, name) =>
    graph.op(
      "LayerNormalization",
      [
        x,
        graph.floats(`${name}_scale`, noise(WIDTH, 4), [WIDTH]),
        graph.floats(`${name}_bias`, noise(WIDTH, 5), [WIDTH]),
      ],
      { axis: -1, epsilon: { float: 1e-5 } },
    ),
  ReduceL2: (graph, x) =>
    graph.op("Div", [
      x,
      graph.op("Add", [
        graph.op("ReduceL2", [x], { axes: [-1], keepdims: 1 }),
        graph.floats("one", [1]),
      ]),
    ]),
  Conv: (graph, x, name) => {
    const image = graph.op("Unsqueeze", [x, graph.int64s("axis_1", [1])]);
    const kernel = graph.floats(`${name}_kernel`, noise(3, 6), [1, 1, 3]);
    const convolved = graph.op("Conv", [image, kernel], { pads: [1, 1], kernel_shape: [3] });
    return graph.op("Squeeze", [convolved, graph.int64s("axis_1", [1])]);
  },
};

function sample(datatype: Datatype): Tensor {
  const shape = [2, 3];
  if (datatype === "BYTES") {
    return { datatype, shape, data: ["", "ä", "日本語", "a text of some length", "😀", " "] };
  }
  const values = datatype === "BOOL" ? [0, 1, 1, 0, 0, 1] : [0, 1, 2, 100, 5, 127];
  const array = arrayOf(datatype);
  const data =
    array === BigInt64Array || array === BigUint64Array
      ? array.from(values.map(BigInt))
      : (array as Uint8ArrayConstructor).from(values);
  return { datatype, shape, data } as Tensor;
}

describe("the runtime of Workers and the native one", () => {
  // The binding for Node has no BF16.
  const shared = (Object.keys(DATATYPES) as Datatype[]).filter((datatype) => datatype !== "BF16");

  it.each(shared)("carry %s alike", async (datatype) => {
    const graph = identityGraph(datatype, 2);
    const x = sample(datatype);
    expect(await runWasm(graph, { x })).toEqual({ y: x });
    expect(await runNative(graph, { x })).toEqual({ y: x });
  });

  it("compute the same for any layers, but for the last bits of a float", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.keys(LAYERS)), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(1000),
        async (layers, batch, seed) => {
          const builder = new GraphBuilder("layers");
          let hidden = builder.input("x", "FP32", ["batch", WIDTH]);
          for (const [index, layer] of layers.entries()) {
            hidden = LAYERS[layer]?.(builder, hidden, `layer_${index}`) ?? hidden;
          }
          builder.op("Identity", [hidden], {}, "y");
          builder.output("y", "FP32", ["batch", WIDTH]);
          builder.op("ArgMax", [hidden], { axis: -1, keepdims: 0 }, "class");
          builder.output("class", "INT64", ["batch"]);
          const graph = builder.toBytes();
          const feeds = { x: fp32([batch, WIDTH], noise(batch * WIDTH, seed)) };
          const [wasm, native] = [await runWasm(graph, feeds), await runNative(graph, feeds)];
          expect(Object.keys(wasm)).toEqual(Object.keys(native));
          for (const [name, tensor] of Object.entries(native)) {
            expectNear(wasm[name], tensor, 1e-4);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it("refuse the same input, and go on", async () => {
    const graph = gatherGraph(4);
    const index = (value: bigint) => ({
      index: { datatype: "INT64", shape: [1], data: BigInt64Array.of(value) } as const,
    });
    for (const run of [runWasm, runNative]) {
      await expect(run(graph, index(4n))).rejects.toThrow(/indices element out of data bounds/);
      await expect(run(graph, index(-1n))).resolves.toMatchObject({ y: { shape: [1, 2] } });
    }
  });
});

describe("the models that ship answer alike in both runtimes", () => {
  const LARGEST_DIFFERENCE = 1e-3;
  /** Activations next to a half round apart, which turns an embedding hardly. */
  const LOWEST_COSINE = 0.999;

  it.each(folders.map((folder) => [path.basename(folder), folder]))("%s", async (_, folder) => {
    const { onnx, source } = await buildModel(folder);
    const session = createSession(await startOrt(await runtimeModule()), { graph: onnx });
    const native = await ReferenceSession.create(onnx);
    const { task } = source;
    const embeddingsOf = (tensor: Tensor | undefined) =>
      task.type === "embedding" ? rowsOf(tensor, task.dimensions) : [];
    const tolerance = task.type === "embedding" ? Number.POSITIVE_INFINITY : LARGEST_DIFFERENCE;
    for (const one of (await readFixtures(folder)).cases) {
      const expected = await native.run(feedsOf(one));
      const seen = session.run(feedsOf(one));
      expect(Object.keys(seen)).toEqual(Object.keys(expected));
      for (const [name, tensor] of Object.entries(expected)) {
        expectNear(seen[name], tensor, tolerance);
        const answers = embeddingsOf(seen[name]);
        for (const [row, embedding] of embeddingsOf(tensor).entries()) {
          expect(cosine(answers[row] ?? [], embedding)).toBeGreaterThanOrEqual(LOWEST_COSINE);
        }
      }
    }
    await native.release();
  });
});
