import type { GraphProto, NodeProto } from "onnx-buf";

/** Graphs inside a node's attributes: the branches of an If, the body of a Loop. */
export function subgraphsOf(node: NodeProto): GraphProto[] {
  return node.attribute.flatMap(({ g, graphs }) => (g === undefined ? graphs : [g, ...graphs]));
}

/** Every name that a graph or its subgraphs define, for values and for nodes alike. */
export function definedNames(graph: GraphProto, names = new Set<string>()): Set<string> {
  for (const { name } of [...graph.input, ...graph.initializer, ...graph.valueInfo])
    names.add(name);
  for (const { values } of graph.sparseInitializer) if (values) names.add(values.name);
  for (const node of graph.node) {
    names.add(node.name);
    for (const output of node.output) names.add(output);
    for (const subgraph of subgraphsOf(node)) definedNames(subgraph, names);
  }
  return names;
}

/**
 * Every value that a graph reads: its nodes' inputs, its outputs, and what its subgraphs read.
 * A subgraph may shadow a name, so this can only name too many.
 */
export function usedNames(graph: GraphProto, names = new Set<string>()): Set<string> {
  for (const { name } of graph.output) names.add(name);
  for (const node of graph.node) {
    for (const input of node.input) names.add(input);
    for (const subgraph of subgraphsOf(node)) usedNames(subgraph, names);
  }
  return names;
}

/** Gives out names that nothing in the graph has. */
export class UniqueNames {
  readonly #taken: Set<string>;

  constructor(graph: GraphProto) {
    this.#taken = definedNames(graph);
  }

  take(wanted: string): string {
    let name = wanted;
    for (let suffix = 2; this.#taken.has(name); suffix += 1) name = `${wanted}_${suffix}`;
    this.#taken.add(name);
    return name;
  }
}
