import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { readModel } from "../../src/publish/onnx/model.ts";
import { signature } from "../../src/publish/onnx/signature.ts";
import { quantizeDynamicInt8 } from "../../src/publish/quantize.ts";
import { smoothActivations } from "../../src/publish/smooth.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { BRANCH_WIDTH, branchGraph, productGraph } from "./graphs.ts";
import { asVersion, fp32, largestDifference, noise, numbersOf, runWasm } from "./support.ts";

const WIDTH = 8;

/** Layers of products, of which each reads what the one before made; `y` is the last. */
function layersGraph(layers: readonly ("MatMul" | "Gemm" | "Gemm, transposed")[], seed: number) {
  const graph = new GraphBuilder("layers");
  let hidden = graph.input("x", "FP32", ["batch", WIDTH]);
  for (const [index, layer] of layers.entries()) {
    const W = graph.floats(`W${index}`, noise(WIDTH * WIDTH, seed + index), [WIDTH, WIDTH]);
    const product =
      layer === "MatMul"
        ? graph.op("MatMul", [hidden, W])
        : graph.op("Gemm", [hidden, W, graph.floats(`b${index}`, noise(WIDTH, index), [WIDTH])], {
            transB: layer === "Gemm" ? 0 : 1,
            alpha: { float: 0.5 },
          });
    hidden = graph.op("LeakyRelu", [product]);
  }
  graph.op("Identity", [hidden], {}, "y");
  graph.output("y", "FP32", ["batch", WIDTH]);
  return graph.toBytes();
}

const rowsOf = (count: number, seed: number, size = 1): Tensor =>
  fp32(
    [count, WIDTH],
    noise(count * WIDTH, seed).map((value) => value * size),
  );

async function differenceOf(a: Uint8Array, b: Uint8Array, x: Tensor): Promise<number> {
  const [one, two] = [await runWasm(a, { x }), await runWasm(b, { x })];
  return largestDifference(numbersOf(one["y"]), numbersOf(two["y"]));
}

const smoothedNodes = (onnx: Uint8Array): string[] =>
  readModel(onnx)
    .graph.node.filter(({ name }) => name.endsWith("/Smooth"))
    .map(({ name }) => name);

describe("smoothActivations", () => {
  it("changes nothing of what any model computes, on inputs that it never saw", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("MatMul", "Gemm", "Gemm, transposed"), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.nat(1000),
        async (layers, seed) => {
          const float = layersGraph(layers, seed);
          const smooth = await smoothActivations(float, [{ x: rowsOf(3, seed + 50) }]);
          expect(smoothedNodes(smooth)).toHaveLength(layers.length);
          expect(signature(smooth)).toEqual(signature(float));
          expect(await differenceOf(float, smooth, rowsOf(4, seed + 99, 3))).toBeLessThan(1e-4);
        },
      ),
      { numRuns: 8 },
    );
  });

  it("brings int8 nearer to float where one channel is far larger than the others", async () => {
    const x = rowsOf(16, 7);
    for (let at = 3; at < x.data.length; at += WIDTH) x.data[at] = Number(x.data[at]) * 200;
    const float = layersGraph(["MatMul"], 1);
    const smooth = await smoothActivations(float, [{ x }]);
    const int8 = (onnx: Uint8Array) => quantizeDynamicInt8(onnx, { minElements: 1 }).onnx;
    const before = await differenceOf(float, int8(float), x);
    const after = await differenceOf(float, int8(smooth), x);
    expect(after).toBeLessThan(before / 3);
  });

  it("divides an activation once for all products that read it", async () => {
    const graph = new GraphBuilder("heads");
    graph.input("x", "FP32", ["batch", WIDTH]);
    const heads = [1, 2, 3].map((seed) =>
      graph.op("MatMul", [
        "x",
        graph.floats(`W${seed}`, noise(WIDTH * WIDTH, seed), [WIDTH, WIDTH]),
      ]),
    );
    graph.op("Sum", heads, {}, "y");
    graph.output("y", "FP32", ["batch", WIDTH]);
    const smooth = await smoothActivations(graph.toBytes(), [{ x: rowsOf(2, 5) }]);
    expect(smoothedNodes(smooth)).toEqual(["MatMul/0/Smooth"]);
    expect(await differenceOf(graph.toBytes(), smooth, rowsOf(3, 9))).toBeLessThan(1e-5);
  });

  it("bears channels that were silent on every input, and rows of zeros", async () => {
    const weights = noise(WIDTH * WIDTH).fill(0, 0, WIDTH);
    const float = productGraph({
      opType: "MatMul",
      shape: ["batch", WIDTH],
      rows: WIDTH,
      columns: WIDTH,
      weights,
    });
    const silent = fp32([1, WIDTH], [1, 0, 2, 0, 0, 0, 0, 0]);
    expect(
      await differenceOf(float, await smoothActivations(float, [{ x: silent }]), rowsOf(3, 4)),
    ).toBeLessThan(1e-5);
  });

  it("takes the largest magnitudes over all inputs, of whatever batch", async () => {
    const float = layersGraph(["MatMul", "Gemm"], 3);
    const x = rowsOf(4, 8);
    const rows = [0, 1, 2, 3].map((row) =>
      fp32([1, WIDTH], (x.data as Float32Array).subarray(row * WIDTH, (row + 1) * WIDTH)),
    );
    const apart = await smoothActivations(
      float,
      rows.map((one) => ({ x: one })),
    );
    expect(apart).toEqual(await smoothActivations(float, [{ x }]));
    expect(apart).not.toEqual(await smoothActivations(float, [{ x: rows[0]! }]));
  });

  it("gives the same bytes twice, and leaves the given model alone", async () => {
    const float = layersGraph(["Gemm", "MatMul"], 2);
    const before = float.slice();
    const inputs = [{ x: rowsOf(3, 1) }];
    expect(await smoothActivations(float, inputs)).toEqual(await smoothActivations(float, inputs));
    expect(float).toEqual(before);
  });

  it("leaves a model alone that it has no inputs for, or that has no products", async () => {
    const float = layersGraph(["Gemm"], 2);
    expect(await smoothActivations(float, [])).toEqual(float);
    const none = layersGraph([], 2);
    expect(await smoothActivations(none, [{ x: rowsOf(1, 1) }])).toEqual(none);
  });
});

describe("weights that smoothing leaves alone", () => {
  /** `build` reads `W` from two places; nothing may be multiplied into it. */
  const SHARED: Record<string, (graph: GraphBuilder) => void> = {
    "tied to another layer": (graph) => {
      const hidden = graph.op("Relu", [graph.op("MatMul", ["x", "W"])]);
      graph.op("MatMul", [hidden, "W"], {}, "y");
    },
    "tied to two other layers": (graph) => {
      let hidden = graph.op("Tanh", [graph.op("MatMul", ["x", "W"])]);
      hidden = graph.op("Tanh", [graph.op("Gemm", [hidden, "W"])]);
      graph.op("Gemm", [hidden, "W"], { transB: 1 }, "y");
    },
    "multiplied twice with the same activation": (graph) => {
      const twice = [0, 1].map(() => graph.op("MatMul", ["x", "W"]));
      graph.op("Sum", twice, {}, "y");
    },
    "read by another operator": (graph) => {
      graph.op("Add", [graph.op("MatMul", ["x", "W"]), graph.op("ReduceSum", ["W"])], {}, "y");
    },
    "that are an output": (graph) => {
      graph.op("MatMul", ["x", "W"], {}, "y");
      graph.output("W", "FP32", [WIDTH, WIDTH]);
    },
    "that are another product's bias": (graph) => {
      const hidden = graph.op("MatMul", ["x", "W"]);
      graph.op("Gemm", ["eye", hidden, "W"], {}, "y");
    },
  };

  it.each(Object.keys(SHARED))("are those %s", async (what) => {
    const graph = new GraphBuilder("shared");
    graph.input("x", "FP32", [WIDTH, WIDTH]);
    graph.floats("W", noise(WIDTH * WIDTH), [WIDTH, WIDTH]);
    graph.floats(
      "eye",
      Array.from({ length: WIDTH * WIDTH }, (_, at) => Number(at % (WIDTH + 1) === 0)),
      [WIDTH, WIDTH],
    );
    SHARED[what]?.(graph);
    graph.output("y", "FP32", [WIDTH, WIDTH]);
    const float = graph.toBytes();
    expect(await smoothActivations(float, [{ x: rowsOf(WIDTH, 5, 10) }])).toEqual(float);
  });

  it.each([3, 8])("in format %i, are those that are an activation, too", async (ir) => {
    const graph = new GraphBuilder("chain");
    graph.input("x", "FP32", ["batch", WIDTH]);
    for (const name of ["W", "V"]) {
      graph.floats(name, noise(WIDTH * WIDTH, name.length), [WIDTH, WIDTH]);
    }
    graph.op("MatMul", [graph.op("MatMul", ["x", "W"]), graph.op("MatMul", ["W", "V"])], {}, "y");
    graph.output("y", "FP32", ["batch", WIDTH]);
    const float = asVersion(graph.toBytes(), { opset: 10, ir });
    const smooth = await smoothActivations(float, [{ x: rowsOf(2, 5, 10) }]);
    expect(smoothedNodes(smooth)).toEqual(["MatMul/1/Smooth"]);
    expect(await differenceOf(float, smooth, rowsOf(3, 6))).toBeLessThan(1e-4);
  });

  it("are those that a subgraph reads", async () => {
    const feeds: Record<string, Tensor> = {
      choice: { datatype: "BOOL", shape: [], data: Uint8Array.of(1) },
      x: fp32([1, BRANCH_WIDTH], noise(BRANCH_WIDTH)),
    };
    expect(await smoothActivations(branchGraph(), [feeds])).toEqual(branchGraph());
  });

  it("are those that the caller may replace", async () => {
    const listed = asVersion(layersGraph(["MatMul"], 1), { opset: 10, ir: 3 });
    const replaceable = asVersion(listed, { ir: 4 });
    const inputs = [{ x: rowsOf(3, 1) }];
    expect(await smoothActivations(replaceable, inputs)).toEqual(replaceable);
    expect(smoothedNodes(await smoothActivations(listed, inputs))).toHaveLength(1);
  });

  it.each([
    ["a transposed activation", "Gemm", { transA: 1 }, [WIDTH, WIDTH]],
    ["three dimensions", "MatMul", {}, [1, WIDTH, WIDTH]],
  ])("are those that meet %s", async (_, opType, attributes, shape) => {
    const graph = new GraphBuilder("other");
    graph.input("x", "FP32", [WIDTH, WIDTH]);
    graph.floats("W", noise(WIDTH * WIDTH), shape);
    graph.op(opType, ["x", "W"], attributes, "y");
    graph.output("y", "FP32", shape);
    const float = graph.toBytes();
    expect(await smoothActivations(float, [{ x: rowsOf(WIDTH, 5) }])).toEqual(float);
  });
});
