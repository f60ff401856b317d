import { clearField } from "@bufbuild/protobuf";
import fc from "fast-check";
import { TensorProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";

import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import {
  float32Data,
  initializerBytes,
  readModel,
  writeModel,
} from "../../src/publish/onnx/model.ts";
import type { Attributes } from "../../src/publish/onnx/nodes.ts";
import { signature } from "../../src/publish/onnx/signature.ts";
import { quantizeDynamicInt8, type QuantizeOptions } from "../../src/publish/quantize.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { BRANCH_WIDTH, branchGraph, productGraph } from "./graphs.ts";
import {
  asVersion,
  fp32,
  largestDifference,
  noise,
  numbersOf,
  runWasm,
  wasmSession,
} from "./support.ts";

const EVERYTHING: QuantizeOptions = { minElements: 1 };

const opTypes = (onnx: Uint8Array): string[] =>
  readModel(onnx).graph.node.map(({ opType }) => opType);
const initializers = (onnx: Uint8Array): string[] =>
  readModel(onnx).graph.initializer.map(({ name }) => name);

interface Product {
  readonly opType: "MatMul" | "Gemm";
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly seed: number;
  /** Powers of ten by which the rows of x, and the columns of W, differ in size. */
  readonly spread: number;
  readonly transB: boolean;
  readonly alpha: number;
  readonly beta: number;
  readonly biased: boolean;
}

const small = fc.integer({ min: 1, max: 9 });
const factor = fc.constantFrom(1, 0.5, -2, 0);
const product: fc.Arbitrary<Product> = fc.record({
  opType: fc.constantFrom("MatMul" as const, "Gemm" as const),
  batch: small,
  rows: small,
  columns: small,
  seed: fc.nat(10_000),
  spread: fc.integer({ min: 0, max: 6 }),
  transB: fc.boolean(),
  alpha: factor,
  beta: factor,
  biased: fc.boolean(),
});

/** The graph, its input, what it computes in double precision, and how far int8 may be off. */
function unfold({ opType, batch, rows, columns, seed, spread, ...rest }: Product) {
  const isGemm = opType === "Gemm";
  const alpha = isGemm ? rest.alpha : 1;
  const beta = isGemm ? rest.beta : 1;
  const size = (place: number): number => 10 ** ((place * 7 + seed) % (spread + 1));
  const x = noise(batch * rows, seed).map((one, at) => one * size(Math.floor(at / rows)));
  const W = noise(rows * columns, seed + 1).map((one, at) => one / size(at % columns));
  const bias = isGemm && rest.biased ? [...noise(columns, seed + 2)] : undefined;
  const transB = isGemm && rest.transB;
  const turned = W.map((_, at) => W[(at % rows) * columns + Math.floor(at / rows)]!);
  const graph = productGraph({
    opType,
    shape: ["batch", rows],
    rows,
    columns,
    weights: transB ? turned : W,
    ...(bias && { bias }),
    attributes: isGemm
      ? { transB: Number(transB), alpha: { float: alpha }, beta: { float: beta } }
      : {},
  });
  const expected: number[] = [];
  const allowed: number[] = [];
  for (let i = 0; i < batch; i++) {
    const row = x.subarray(i * rows, (i + 1) * rows);
    const halfUnitOfRow = Math.max(...row.map(Math.abs)) / 254;
    for (let j = 0; j < columns; j++) {
      const column = [...row.keys()].map((k) => W[k * columns + j]!);
      const halfUnitOfColumn = Math.max(...column.map(Math.abs)) / 254;
      let sum = 0;
      let off = 0;
      let magnitude = Math.abs(bias?.[j] ?? 0);
      for (const [k, value] of row.entries()) {
        const weight = column[k]!;
        sum += value * weight;
        off += Math.abs(value) * halfUnitOfColumn;
        off += (Math.abs(weight) + halfUnitOfColumn) * halfUnitOfRow;
        magnitude += Math.abs(value * weight);
      }
      expected.push(alpha * sum + beta * (bias?.[j] ?? 0));
      allowed.push(Math.abs(alpha) * off + 1e-5 * magnitude);
    }
  }
  return { graph, x: fp32([batch, rows], x), expected, allowed };
}

describe("quantizeDynamicInt8", () => {
  it.each([
    [10, 3],
    [13, 7],
    [17, 8],
    [18, 8],
    [21, 10],
  ])(
    "is as near to any float product as rounding to int8 allows, with opset %i",
    async (opset, ir) => {
      await fc.assert(
        fc.asyncProperty(product, async (one) => {
          const { graph, x, expected, allowed } = unfold(one);
          const { onnx, quantized } = quantizeDynamicInt8(
            asVersion(graph, { opset, ir }),
            EVERYTHING,
          );
          expect(quantized).toEqual([{ node: `${one.opType}/0`, kind: one.opType }]);
          const y = numbersOf((await runWasm(onnx, { x }))["y"]);
          for (const [at, value] of y.entries()) {
            expect(Math.abs(value - expected[at]!)).toBeLessThanOrEqual(allowed[at]!);
          }
        }),
        { numRuns: 25 },
      );
    },
  );

  it.each([[[6]], [[1, 6]], [[3, 2, 6]], [[2, 1, 3, 6]]])(
    "multiplies an activation of shape %j",
    async (shape) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const graph = productGraph({
        opType: "MatMul",
        shape: shape.map((_, axis) => (axis === shape.length - 1 ? 6 : `d${axis}`)),
        rows: 6,
        columns: 4,
        weights: noise(24),
      });
      const x = fp32(shape, noise(count, 2));
      const { onnx } = quantizeDynamicInt8(graph, EVERYTHING);
      const [y, exact] = [await runWasm(onnx, { x }), await runWasm(graph, { x })];
      expect(y["y"]?.shape).toEqual(exact["y"]?.shape);
      expect(largestDifference(numbersOf(y["y"]), numbersOf(exact["y"]))).toBeLessThan(0.03);
    },
  );

  it("rounds an activation by 1/254 of its row's largest at most", async () => {
    const graph = productGraph({
      opType: "MatMul",
      shape: ["batch", 8],
      rows: 8,
      columns: 8,
      weights: Array.from({ length: 64 }, (_, at) => Number(at % 9 === 0)),
    });
    const session = await wasmSession({ graph: quantizeDynamicInt8(graph, EVERYTHING).onnx });
    fc.assert(
      fc.property(fc.nat(10_000), fc.integer({ min: -20, max: 20 }), (seed, exponent) => {
        const row = noise(8, seed).map((value) => value * 10 ** exponent);
        const y = session.run({ x: fp32([1, 8], row) })["y"];
        const halfUnit = Math.max(...row.map(Math.abs)) / 254;
        expect(largestDifference(numbersOf(y), [...row])).toBeLessThanOrEqual(halfUnit * 1.0001);
      }),
      { numRuns: 50 },
    );
  });

  it("answers a row the same alone and beside an outlier, bit for bit", async () => {
    const rows = 16;
    const session = await wasmSession({
      graph: quantizeDynamicInt8(
        productGraph({
          opType: "Gemm",
          shape: ["batch", rows],
          rows,
          columns: 8,
          weights: noise(rows * 8),
          bias: [...noise(8, 3)],
        }),
        EVERYTHING,
      ).onnx,
    });
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.nat(4),
        fc.double({ min: 0, max: 1e12, noNaN: true }),
        (seed, at, huge) => {
          const row = noise(rows, seed);
          const alone = numbersOf(session.run({ x: fp32([1, rows], row) })["y"]);
          const others = Array.from({ length: 4 }, (_, index) =>
            noise(rows, seed + index).map((value) => value * huge),
          );
          const batch = others.toSpliced(at, 0, row).flatMap((values) => [...values]);
          const together = numbersOf(session.run({ x: fp32([5, rows], batch) })["y"]);
          expect(together.slice(at * 8, at * 8 + 8)).toEqual(alone);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("gives a row of zeros the bias, whatever stands beside it", async () => {
    const bias = [0.5, -1, 0];
    const graph = productGraph({
      opType: "Gemm",
      shape: ["batch", 2],
      rows: 2,
      columns: 3,
      weights: noise(6),
      bias,
    });
    const { onnx } = quantizeDynamicInt8(graph, EVERYTHING);
    for (const x of [fp32([1, 2], [0, 0]), fp32([2, 2], [0, -0, 1e9, 1])]) {
      expect(numbersOf((await runWasm(onnx, { x }))["y"]).slice(0, 3)).toEqual(bias);
    }
  });

  it("reads the rows of a table within half a unit of each", async () => {
    const [rows, columns] = [40, 12];
    const table = noise(rows * columns).map(
      (value, at) => value * 10 ** (Math.floor(at / columns) % 7),
    );
    for (const axis of [0, -2]) {
      const graph = new GraphBuilder("table");
      graph.input("index", "INT64", ["a", "b"]);
      graph.floats("table", table, [rows, columns]);
      graph.op("Gather", ["table", "index"], { axis }, "y");
      graph.output("y", "FP32", ["a", "b", columns]);
      const { onnx, quantized } = quantizeDynamicInt8(graph.toBytes(), EVERYTHING);
      expect(quantized).toEqual([{ node: "Gather/0", kind: "Gather" }]);
      expect(initializers(onnx)).not.toContain("table");
      const indices = Array.from({ length: rows }, (_, at) => (at % 2 === 0 ? at : at - rows));
      const index: Tensor = {
        datatype: "INT64",
        shape: [2, rows / 2],
        data: BigInt64Array.from(indices, BigInt),
      };
      const { y } = await runWasm(onnx, { index });
      expect(y?.shape).toEqual([2, rows / 2, columns]);
      const values = numbersOf(y);
      for (let row = 0; row < rows; row++) {
        const place = [row * columns, (row + 1) * columns] as const;
        const exact = [...table.subarray(...place)];
        const halfUnit = Math.max(...exact.map(Math.abs)) / 254;
        expect(largestDifference(values.slice(...place), exact)).toBeLessThanOrEqual(
          halfUnit * 1.001,
        );
      }
    }
  });
});

describe("what is quantized", () => {
  const square = { rows: 32, columns: 32, weights: noise(1024), shape: ["batch", 32] };

  it("keeps weights below 1024 elements float, unless it is told otherwise", () => {
    const just = productGraph({ opType: "MatMul", ...square });
    const below = productGraph({
      opType: "MatMul",
      rows: 31,
      columns: 33,
      weights: noise(1023),
      shape: ["batch", 31],
    });
    expect(quantizeDynamicInt8(just).quantized).toHaveLength(1);
    expect(quantizeDynamicInt8(below)).toEqual({ onnx: below, quantized: [] });
    expect(quantizeDynamicInt8(below, { minElements: 1023 }).quantized).toHaveLength(1);
    expect(quantizeDynamicInt8(just, { keepFloat: ["W"] })).toEqual({ onnx: just, quantized: [] });
  });

  it("quantizes shared weights, and the activation that they share, once", async () => {
    const graph = new GraphBuilder("shared");
    const x = graph.input("x", "FP32", ["batch", 32]);
    const W = graph.floats("W", noise(1024), [32, 32]);
    const V = graph.floats("V", noise(1024, 2), [32, 32]);
    const first = graph.op("Relu", [graph.op("MatMul", [x, W])]);
    const second = graph.op("Add", [graph.op("MatMul", [first, W]), graph.op("MatMul", [x, V])]);
    graph.op("Identity", [second], {}, "y");
    graph.output("y", "FP32", ["batch", 32]);
    const float = graph.toBytes();
    const { onnx, quantized } = quantizeDynamicInt8(float);
    expect(quantized).toHaveLength(3);
    expect(initializers(onnx).filter((name) => name.endsWith("_int8"))).toEqual([
      "W_int8",
      "V_int8",
    ]);
    expect(opTypes(onnx).filter((opType) => opType === "QuantizeLinear")).toHaveLength(2);
    expect(initializers(onnx)).not.toContain("W");
    const feeds = { x: fp32([3, 32], noise(96, 5)) };
    const [y, exact] = [await runWasm(onnx, feeds), await runWasm(float, feeds)];
    expect(largestDifference(numbersOf(y["y"]), numbersOf(exact["y"]))).toBeLessThan(0.5);
  });

  it("quantizes a table that is multiplied with, too, in each of its two ways", async () => {
    const graph = new GraphBuilder("tied");
    const index = graph.input("index", "INT64", ["n"]);
    const table = graph.floats("table", noise(50 * 32), [50, 32]);
    const hidden = graph.op("Gather", [table, index]);
    graph.op("Gemm", [hidden, table], { transB: 1 }, "y");
    graph.output("y", "FP32", ["n", 50]);
    const float = graph.toBytes();
    const { onnx, quantized } = quantizeDynamicInt8(float);
    expect(quantized.map(({ kind }) => kind)).toEqual(["Gather", "Gemm"]);
    expect(initializers(onnx)).toEqual(
      expect.arrayContaining(["table_int8", "table_scales", "table_int8_rows", "table_row_scales"]),
    );
    expect(initializers(onnx)).not.toContain("table");
    const feeds = {
      index: { datatype: "INT64", shape: [3], data: BigInt64Array.of(0n, 17n, 49n) } as const,
    };
    const [y, exact] = [await runWasm(onnx, feeds), await runWasm(float, feeds)];
    expect(largestDifference(numbersOf(y["y"]), numbersOf(exact["y"]))).toBeLessThan(0.2);
  });

  it("keeps a matrix twice when two products scale it by another alpha", async () => {
    const graph = new GraphBuilder("alphas");
    graph.input("x", "FP32", ["batch", 32]);
    graph.floats("W", noise(1024), [32, 32]);
    const halves = [1, 3].map((alpha) => graph.op("Gemm", ["x", "W"], { alpha: { float: alpha } }));
    graph.op("Sub", halves, {}, "y");
    graph.output("y", "FP32", ["batch", 32]);
    const { onnx } = quantizeDynamicInt8(graph.toBytes());
    const feeds = { x: fp32([1, 32], noise(32, 4)) };
    const [y, exact] = [await runWasm(onnx, feeds), await runWasm(graph.toBytes(), feeds)];
    expect(largestDifference(numbersOf(y["y"]), numbersOf(exact["y"]))).toBeLessThan(0.2);
  });

  it.each<[string, string, readonly string[], Attributes, readonly number[]]>([
    ["weights on the left", "MatMul", ["W", "x"], {}, [32, 32]],
    ["a transposed activation", "Gemm", ["x", "W"], { transA: 1 }, [32, 32]],
    ["weights of three dimensions", "MatMul", ["x", "W"], {}, [1, 32, 32]],
    ["a Gather along columns", "Gather", ["W", "index"], { axis: 1 }, [32, 32]],
    ["other operators", "Add", ["x", "W"], {}, [32, 32]],
  ])("leaves %s alone", (_, opType, inputs, attributes, shape) => {
    const graph = new GraphBuilder("float");
    graph.input("x", "FP32", [32, 32]);
    graph.input("index", "INT64", ["n"]);
    graph.floats("W", noise(1024), shape);
    graph.op(opType, inputs, attributes, "y");
    graph.output("y", "FP32", ["a", "b"]);
    expect(quantizeDynamicInt8(graph.toBytes())).toEqual({ onnx: graph.toBytes(), quantized: [] });
  });

  it("leaves operators of other domains alone", () => {
    const graph = new GraphBuilder("float");
    graph.input("x", "FP32", [32, 32]);
    graph.floats("W", noise(1024), [32, 32]);
    graph.node("MatMul", ["x", "W"], ["y"], {}, "example.com");
    graph.output("y", "FP32", [32, 32]);
    expect(quantizeDynamicInt8(graph.toBytes()).quantized).toEqual([]);
  });

  it.each([
    ["not a number", Number.NaN],
    ["infinite", Number.NEGATIVE_INFINITY],
  ])("leaves weights alone of which one is %s", (_, odd) => {
    const weights = noise(1024).with(7, odd);
    const graph = productGraph({ opType: "MatMul", ...square, weights });
    expect(quantizeDynamicInt8(graph)).toEqual({ onnx: graph, quantized: [] });
  });

  it("reads weights from float_data, as some exporters write them", () => {
    const model = readModel(productGraph({ opType: "MatMul", ...square }));
    const [W] = model.graph.initializer;
    if (W === undefined) throw new Error("the graph has weights");
    W.floatData = [...float32Data(W)];
    clearField(W, TensorProtoSchema.field.rawData);
    expect(initializerBytes(W)).toHaveLength(4096);
    expect(quantizeDynamicInt8(writeModel(model)).quantized).toHaveLength(1);
  });

  it.each([
    [3, false],
    [4, true],
    [8, true],
  ])("in format %i, weights that are listed as inputs are kept: %s", async (ir, kept) => {
    const listed = asVersion(productGraph({ opType: "MatMul", ...square }), { opset: 10, ir: 3 });
    const { onnx, quantized } = quantizeDynamicInt8(asVersion(listed, { ir }));
    expect(quantized).toHaveLength(kept ? 0 : 1);
    expect(readModel(onnx).graph.input.map(({ name }) => name)).toEqual(kept ? ["x", "W"] : ["x"]);
    expect((await runWasm(onnx, { x: fp32([1, 32], noise(32)) }))["y"]?.shape).toEqual([1, 32]);
  });

  it("keeps the float weights for a subgraph that reads them", async () => {
    const { onnx, quantized } = quantizeDynamicInt8(branchGraph());
    expect(quantized).toEqual([{ node: "MatMul/0", kind: "MatMul" }]);
    expect(initializers(onnx)).toContain("W");
    const feeds = (choice: number): Record<string, Tensor> => ({
      choice: { datatype: "BOOL", shape: [], data: Uint8Array.of(choice) },
      x: fp32([1, BRANCH_WIDTH], noise(BRANCH_WIDTH, 3)),
    });
    for (const choice of [0, 1]) {
      const y = numbersOf((await runWasm(onnx, feeds(choice)))["y"]);
      const exact = numbersOf((await runWasm(branchGraph(), feeds(choice)))["y"]);
      expect(largestDifference(y, exact)).toBeLessThan(0.5);
    }
  });

  it("keeps the float weights when they are an output, too", async () => {
    const graph = new GraphBuilder("shown");
    graph.input("x", "FP32", ["batch", 32]);
    graph.floats("W", noise(1024), [32, 32]);
    graph.op("MatMul", ["x", "W"], {}, "y");
    graph.output("y", "FP32", ["batch", 32]);
    graph.output("W", "FP32", [32, 32]);
    const { onnx, quantized } = quantizeDynamicInt8(graph.toBytes());
    expect(quantized).toHaveLength(1);
    const outputs = await runWasm(onnx, { x: fp32([1, 32], noise(32)) });
    expect(outputs["W"]?.data).toEqual(noise(1024));
  });
});

describe("the quantized model", () => {
  const layers = (): Uint8Array => {
    const graph = new GraphBuilder("layers");
    let hidden = graph.input("input", "FP32", ["batch", 32]);
    for (const layer of [1, 2, 3]) {
      const W = graph.floats(`W${layer}`, noise(1024, layer), [32, 32]);
      const b = graph.floats(`b${layer}`, noise(32, -layer), [32]);
      hidden = graph.op("Tanh", [graph.op("Gemm", [hidden, W, b])], {}, `hidden_${layer}`);
    }
    graph.output(hidden, "FP32", ["batch", 32]);
    graph.output("hidden_1", "FP32", ["batch", 32]);
    return graph.toBytes({ base: "the tests" });
  };

  it("has the inputs and outputs of the float one, and what it says of itself", () => {
    const { onnx } = quantizeDynamicInt8(layers());
    expect(signature(onnx)).toEqual(signature(layers()));
    expect(readModel(onnx).metadataProps).toEqual(readModel(layers()).metadataProps);
  });

  it("names every value and every node once, even where the graph has such names already", () => {
    const model = readModel(layers());
    for (const node of model.graph.node) {
      node.name = "";
      node.output = node.output.map((name) => (name === "hidden_2" ? "input_uint8" : name));
      node.input = node.input.map((name) => (name === "hidden_2" ? "input_uint8" : name));
    }
    const { graph } = readModel(quantizeDynamicInt8(writeModel(model)).onnx);
    const values = [
      ...graph.initializer.map(({ name }) => name),
      ...graph.node.flatMap(({ output }) => output),
    ];
    expect(new Set(values).size).toBe(values.length);
    const nodes = graph.node.map(({ name }) => name).filter((name) => name !== "");
    expect(new Set(nodes).size).toBe(nodes.length);
  });

  it("is about a quarter of the size", () => {
    const wide = productGraph({
      opType: "MatMul",
      rows: 256,
      columns: 256,
      weights: noise(65_536),
      shape: ["batch", 256],
    });
    expect(quantizeDynamicInt8(wide).onnx.length / wide.length).toBeLessThan(0.27);
  });

  it("is the same bytes twice, and leaves the float one alone", () => {
    const float = layers();
    const before = float.slice();
    expect(quantizeDynamicInt8(float)).toEqual(quantizeDynamicInt8(float));
    expect(float).toEqual(before);
  });

  it.each([
    [
      "opset 9",
      asVersion(linear(), { opset: 9 }),
      "unsupported_opset",
      /uses opset 9; .* needs 10/,
    ],
    ["bytes that are no model", new Uint8Array(), "not_onnx", /no ONNX graph/],
  ])("can't be made of %s", (_, onnx, code, message) => {
    expect(() => quantizeDynamicInt8(onnx)).toThrow(
      expect.objectContaining({ name: "OnnxError", code, message: expect.stringMatching(message) }),
    );
  });
});

function linear(): Uint8Array {
  return productGraph({
    opType: "MatMul",
    rows: 2,
    columns: 2,
    weights: noise(4),
    shape: ["batch", 2],
  });
}
