import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";

import { readModel } from "../../../src/publish/onnx/model.ts";
import {
  definedNames,
  readCounts,
  subgraphsOf,
  UniqueNames,
} from "../../../src/publish/onnx/names.ts";
import { branchGraph } from "../graphs.ts";

const { graph } = readModel(branchGraph());

describe("subgraphsOf", () => {
  it("finds the branches of an If, and nothing in other nodes", () => {
    expect(graph.node.map((node) => subgraphsOf(node).map(({ name }) => name))).toEqual([
      [],
      ["then", "else"],
    ]);
  });
});

describe("definedNames", () => {
  it("are those of inputs, initialisers, nodes and values, in subgraphs too", () => {
    expect(definedNames(graph)).toEqual(
      new Set(["choice", "x", "W", "MatMul/0", "h", "If/1", "y", "inner", "then/0", "else/0"]),
    );
  });

  it("are those of sparse initialisers, too", () => {
    const sparse = create(GraphProtoSchema, { sparseInitializer: [{ values: { name: "S" } }] });
    expect(definedNames(sparse)).toEqual(new Set(["S"]));
  });
});

describe("readCounts", () => {
  it("counts reads of nodes, of outputs and of subgraphs", () => {
    expect(Object.fromEntries(readCounts(graph))).toEqual({
      x: 1,
      W: 2,
      h: 2,
      choice: 1,
      inner: 2,
      y: 1,
    });
  });
});

describe("UniqueNames", () => {
  it("gives out a wanted name once, then with a number, never one that the graph has", () => {
    const names = new UniqueNames(graph);
    expect(["new", "new", "new", "inner", "W", "W_2"].map((name) => names.take(name))).toEqual([
      "new",
      "new_2",
      "new_3",
      "inner_2",
      "W_2",
      "W_2_2",
    ]);
  });
});
