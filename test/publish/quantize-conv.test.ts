import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { readModel } from "../../src/publish/onnx/model.ts";
import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { quantizeConvolutions } from "../../src/publish/quantize-conv.ts";
import { fp32, largestDifference, noise, numbersOf, runWasm } from "./support.ts";

const opTypes = (onnx: Uint8Array): string[] =>
  readModel(onnx).graph.node.map(({ opType }) => opType);

const SIDE = 6;
/** Times itself, enough weights to be quantized. */
const CHANNELS = 96;

interface Block {
  readonly activation: "none" | "Relu" | "Clip";
  readonly biased: boolean;
  /** A depthwise convolution between two others. */
  readonly depthwise: boolean;
  /** The sum of both ends. */
  readonly residual: boolean;
  readonly seed: number;
}

const block: fc.Arbitrary<Block> = fc.record({
  activation: fc.constantFrom("none" as const, "Relu" as const, "Clip" as const),
  biased: fc.boolean(),
  depthwise: fc.boolean(),
  residual: fc.boolean(),
  seed: fc.nat(1_000),
});

/** What MobileNets are made of. */
function blockGraph({ activation, biased, depthwise, residual, seed }: Block): Uint8Array {
  const graph = new GraphBuilder("block");
  const shape = ["batch", CHANNELS, SIDE, SIDE];
  let value = graph.input("x", "FP32", shape);
  const convolve = (name: string, group: number, kernel: number): void => {
    const inputs = CHANNELS / group;
    const count = CHANNELS * inputs * kernel * kernel;
    const weights = noise(count, seed + kernel).map((one) => one / Math.sqrt(inputs * kernel));
    const operands = [
      value,
      graph.floats(`${name}/w`, weights, [CHANNELS, inputs, kernel, kernel]),
    ];
    if (biased) operands.push(graph.floats(`${name}/b`, noise(CHANNELS, seed + 7), [CHANNELS]));
    const half = (kernel - 1) / 2;
    value = graph.op("Conv", operands, {
      kernel_shape: [kernel, kernel],
      pads: [half, half, half, half],
      group,
    });
    if (activation === "Relu") value = graph.op("Relu", [value]);
    const limits = [graph.floats("lowest", [-0.5]), graph.floats("highest", [2])];
    if (activation === "Clip") value = graph.op("Clip", [value, ...limits]);
  };
  convolve("first", 1, 1);
  const start = value;
  if (depthwise) convolve("middle", CHANNELS, 3);
  convolve("last", 1, 1);
  if (residual) value = graph.op("Add", [start, value]);
  graph.op("Identity", [value], {}, "y");
  graph.output("y", "FP32", shape);
  return graph.toBytes();
}

const feedsOf = (seed: number) => ({
  x: fp32([1, CHANNELS, SIDE, SIDE], noise(CHANNELS * SIDE * SIDE, seed)),
});

describe("int8 convolutions", () => {
  it("compute nearly what float32 does, in both runtimes", async () => {
    await fc.assert(
      fc.asyncProperty(block, async (one) => {
        const float = blockGraph(one);
        const feeds = feedsOf(one.seed);
        const { onnx, quantized } = await quantizeConvolutions(float, [feeds]);
        expect(quantized).toHaveLength(2);
        const [expected, seen] = [await runWasm(float, feeds), await runWasm(onnx, feeds)];
        const values = numbersOf(expected["y"]);
        const allowed = 0.04 * Math.max(...values.map(Math.abs));
        expect(largestDifference(numbersOf(seen["y"]), values)).toBeLessThanOrEqual(allowed);
        const native = await ReferenceSession.create(onnx);
        const { y } = await native.run(feeds);
        await native.release();
        expect(largestDifference(numbersOf(y), values)).toBeLessThanOrEqual(allowed);
      }),
      { numRuns: 8 },
    );
  });

  it("stay uint8 from one to the next, and take the activation in", async () => {
    const float = blockGraph({
      activation: "Clip",
      biased: true,
      depthwise: false,
      residual: false,
      seed: 1,
    });
    const { onnx } = await quantizeConvolutions(float, [feedsOf(1)]);
    expect(opTypes(onnx)).toEqual([
      "QuantizeLinear",
      "QLinearConv",
      "QLinearConv",
      "DequantizeLinear",
      "Identity",
    ]);
    expect(onnx.length).toBeLessThan(float.length / 3);
  });

  it("leave depthwise ones in float32, in a form that the runtime leaves alone, too", async () => {
    const float = blockGraph({
      activation: "Relu",
      biased: true,
      depthwise: true,
      residual: false,
      seed: 2,
    });
    const { onnx } = await quantizeConvolutions(float, [feedsOf(2)]);
    expect(opTypes(onnx).filter((type) => type.includes("Conv"))).toEqual([
      "QLinearConv",
      "FusedConv",
      "QLinearConv",
    ]);
  });

  it("cut off what no input had: 2.0 is the end of a Clip at 2.0", async () => {
    const float = blockGraph({
      activation: "Clip",
      biased: false,
      depthwise: false,
      residual: false,
      seed: 3,
    });
    const { onnx } = await quantizeConvolutions(float, [feedsOf(3)]);
    const huge = {
      x: fp32(
        [1, CHANNELS, SIDE, SIDE],
        noise(CHANNELS * SIDE * SIDE, 4).map((v) => 99 * v),
      ),
    };
    const values = numbersOf((await runWasm(onnx, huge))["y"]);
    expect(Math.max(...values)).toBeLessThanOrEqual(2.001);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-0.501);
  });

  it("need inputs to be calibrated on, and enough weights", async () => {
    const one: Block = {
      activation: "none",
      biased: true,
      depthwise: true,
      residual: true,
      seed: 4,
    };
    const float = blockGraph(one);
    expect(await quantizeConvolutions(float, [])).toMatchObject({ quantized: [] });
    const small = new GraphBuilder("small");
    small.input("x", "FP32", [1, 1, 2, 2]);
    small.op("Conv", ["x", small.floats("w", [2], [1, 1, 1, 1])], { kernel_shape: [1, 1] }, "y");
    small.output("y", "FP32", [1, 1, 2, 2]);
    const feeds = { x: fp32([1, 1, 2, 2], [1, 2, 3, 4]) };
    const { onnx, quantized } = await quantizeConvolutions(small.toBytes(), [feeds]);
    expect([quantized, opTypes(onnx)]).toEqual([[], ["Conv"]]);
  });

  it("are the same bytes whenever they are made", async () => {
    const float = blockGraph({
      activation: "Clip",
      biased: true,
      depthwise: true,
      residual: true,
      seed: 5,
    });
    const [one, other] = [
      await quantizeConvolutions(float, [feedsOf(5)]),
      await quantizeConvolutions(float, [feedsOf(5)]),
    ];
    expect(other.onnx).toEqual(one.onnx);
  });
});
