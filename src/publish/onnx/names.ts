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
 * How often a graph reads each value: as its nodes' inputs, as its outputs, and in its subgraphs.
 * A subgraph may shadow a name, so this can only count too many.
 */
export function readCounts(
  graph: GraphProto,
  counts = new Map<string, number>(),
): Map<string, number> {
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { name } of graph.output) count(name);
  for (const node of graph.node) {
    for (const input of node.input) count(input);
    for (const subgraph of subgraphsOf(node)) readCounts(subgraph, counts);
  }
  return counts;
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
