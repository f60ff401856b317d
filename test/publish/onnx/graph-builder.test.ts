import { describe, expect, it } from "vitest";

import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import { opsetOf, readModel } from "../../../src/publish/onnx/model.ts";
import { fp32, runWasm } from "../support.ts";

/** Something of everything. */
function sample(): GraphBuilder {
  const graph = new GraphBuilder("sample");
  const x = graph.input("x", "FP32", ["batch", 2]);
  const scaled = graph.op("Mul", [x, graph.floats("two", [2])]);
  const clipped = graph.op("Clip", [scaled, "", graph.floats("top", [5])]);
  graph.node("Split", [clipped, graph.int64s("halves", [1, 1])], ["left", "right"], { axis: 1 });
  graph.op("LeakyRelu", ["left"], { alpha: { float: 0.5 } }, "y");
  graph.output("y", "FP32", ["batch", 1]);
  return graph;
}

describe("GraphBuilder", () => {
  it("writes graphs that the runtime runs", async () => {
    expect(await runWasm(sample().toBytes(), { x: fp32([3, 2], [-1, 0, 1, 0, 9, 0]) })).toEqual({
      y: fp32([3, 1], [-1, 2, 5]),
    });
  });

  it("gives the same bytes for the same calls, however often", () => {
    const graph = sample();
    const bytes = graph.toBytes({ b: "1", a: "2" });
    expect(graph.toBytes({ b: "1", a: "2" })).toEqual(bytes);
    expect(sample().toBytes({ b: "1", a: "2" })).toEqual(bytes);
    expect(sample().toBytes({ a: "2", b: "1" })).not.toEqual(bytes);
  });

  it("says what it is and which operators it uses", () => {
    const model = readModel(sample().toBytes({ base: "somebody's model" }));
    expect(model.producerName).toBe("nearside");
    expect(model.irVersion).toBe(8n);
    expect(opsetOf(model)).toBe(17);
    expect(model.metadataProps.map(({ key, value }) => [key, value])).toEqual([
      ["base", "somebody's model"],
    ]);
  });

  it("adds a constant once", () => {
    const graph = new GraphBuilder("g");
    expect(graph.floats("one", [1])).toBe("one");
    expect(graph.floats("one", [1])).toBe("one");
    expect(readModel(graph.toBytes()).graph.initializer.map(({ name }) => name)).toEqual(["one"]);
  });

  it("gives every node a name, and every value that has none, too", () => {
    const { node } = readModel(sample().toBytes()).graph;
    expect(node.map(({ name }) => name)).toEqual(["Mul/0", "Clip/1", "Split/2", "LeakyRelu/3"]);
    expect(node.flatMap(({ output }) => output)).toEqual(["Mul_0", "Clip_1", "left", "right", "y"]);
  });

  it("keeps the domain of a node", () => {
    const graph = new GraphBuilder("g");
    graph.node("Gelu", ["x"], ["y"], {}, "com.microsoft");
    graph.node("Relu", ["y"], ["z"]);
    const { node } = readModel(graph.toBytes()).graph;
    expect(node.map(({ domain }) => domain)).toEqual(["com.microsoft", ""]);
  });
});
