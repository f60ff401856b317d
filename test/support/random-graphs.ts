import fc from "fast-check";

import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { type Datatype, type Tensor, arrayOf } from "../../src/runtime/tensor.ts";

/** A graph that takes `x` (FP32), `k` (INT64) and `s` (BYTES), each [n, 4], and `times` (INT64, a scalar). */
export interface RandomGraph {
  readonly steps: readonly Step[];
}

interface Step {
  readonly kind: keyof typeof STEPS;
  /** Which of the values so far it reads. */
  readonly a: number;
  readonly b: number;
  readonly seed: number;
}

const WIDTH = 4;
const SHAPE = ["n", WIDTH] as const;

type Kind = "FP32" | "INT64" | "INT32" | "FP64" | "BOOL" | "BYTES";

/** The values that a graph has so far, by datatype: all of [n, 4]. */
class Values {
  readonly byKind: Record<Kind, string[]> = {
    FP32: ["x"],
    INT64: ["k"],
    INT32: [],
    FP64: [],
    BOOL: [],
    BYTES: ["s"],
  };

  pick(kind: Kind, choice: number): string {
    const names = this.byKind[kind];
    return names[choice % names.length] ?? "";
  }

  has(kind: Kind): boolean {
    return this.byKind[kind].length > 0;
  }

  add(kind: Kind, name: string): void {
    this.byKind[kind].push(name);
  }
}

type Build = (graph: GraphBuilder, values: Values, step: Step) => void;

const unary =
  (opType: string, kind: Kind = "FP32"): Build =>
  (graph, values, { a }) =>
    values.add(kind, graph.op(opType, [values.pick(kind, a)]));

const binary =
  (opType: string, from: Kind = "FP32", to: Kind = from): Build =>
  (graph, values, { a, b }) =>
    values.add(to, graph.op(opType, [values.pick(from, a), values.pick(from, b)]));

const cast =
  (from: Kind, to: Kind): Build =>
  (graph, values, { a }) => {
    if (!values.has(from)) return;
    values.add(to, graph.op("Cast", [values.pick(from, a)], { to: CAST_TO[to] }));
  };

/** Element types of ONNX. */
const CAST_TO: Readonly<Record<Kind, number>> = {
  FP32: 1,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP64: 11,
};

function weights(seed: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.sin(seed * 7.7 + index * 1.3) / 2);
}

/** Every step leaves floats between about -10 and 10: no infinities, and no NaN, whose bits are nobody's promise. */
const STEPS = {
  tanh: unary("Tanh"),
  sigmoid: unary("Sigmoid"),
  abs: unary("Abs"),
  softmax: unary("Softmax"),
  erf: unary("Erf"),
  sin: unary("Sin"),
  add: (graph, values, { a, b }) =>
    values.add(
      "FP32",
      graph.op("Tanh", [graph.op("Add", [values.pick("FP32", a), values.pick("FP32", b)])]),
    ),
  mul: (graph, values, { a, b }) =>
    values.add(
      "FP32",
      graph.op("Sin", [graph.op("Mul", [values.pick("FP32", a), values.pick("FP32", b)])]),
    ),
  greater: binary("Greater", "FP32", "BOOL"),
  equalNumbers: binary("Equal", "INT64", "BOOL"),
  addNumbers: (graph, values, { a, b }) => {
    const sum = graph.op("Add", [values.pick("INT64", a), values.pick("INT64", b)]);
    values.add("INT64", graph.op("Mod", [sum, graph.int64s("thousand", [1000])]));
  },
  where: (graph, values, { a, b }) => {
    if (!values.has("BOOL")) return;
    const condition = values.pick("BOOL", a);
    for (const kind of ["FP32", "INT64", "BYTES"] as const) {
      const [left, right] = [values.pick(kind, a), values.pick(kind, b)];
      values.add(kind, graph.op("Where", [condition, left, right]));
    }
  },
  matmul: (graph, values, { a, seed }) => {
    const matrix = graph.floats(`matrix${seed}`, weights(seed, WIDTH * WIDTH), [WIDTH, WIDTH]);
    values.add("FP32", graph.op("MatMul", [values.pick("FP32", a), matrix]));
  },
  wide: (graph, values, { a, seed }) => {
    const up = graph.floats(`up${seed}`, weights(seed, WIDTH * 96), [WIDTH, 96]);
    const down = graph.floats(`down${seed}`, weights(seed + 1, 96 * WIDTH), [96, WIDTH]);
    const hidden = graph.op("Relu", [graph.op("MatMul", [values.pick("FP32", a), up])]);
    values.add("FP32", graph.op("Tanh", [graph.op("MatMul", [hidden, down])]));
  },
  norm: (graph, values, { a, seed }) => {
    const scale = graph.floats(`scale${seed}`, weights(seed, WIDTH), [WIDTH]);
    const name = graph.op("LayerNormalization", [values.pick("FP32", a), scale]);
    values.add("FP32", name);
  },
  lstm: (graph, values, { a, seed }) => {
    const sequence = graph.op("Unsqueeze", [values.pick("FP32", a), graph.int64s("axis1", [1])]);
    const gates = 4 * WIDTH;
    const input = graph.floats(`gates${seed}`, weights(seed, gates * WIDTH), [1, gates, WIDTH]);
    const state = graph.floats(`state${seed}`, weights(seed + 2, gates * WIDTH), [1, gates, WIDTH]);
    const output = graph.op("LSTM", [sequence, input, state], { hidden_size: WIDTH });
    values.add("FP32", graph.op("Reshape", [output, graph.int64s("rows", [-1, WIDTH])]));
  },
  quantized: (graph, values, { a, seed }) => {
    const [quantized, scale, zero] = ["q", "scale", "zero"].map(
      (name) => `${name}_of_${seed}_${a}`,
    );
    const output = `integers_of_${seed}_${a}`;
    if (values.byKind.FP32.includes(`${output}_scaled`)) return;
    graph.node(
      "DynamicQuantizeLinear",
      [values.pick("FP32", a)],
      [quantized ?? "", scale ?? "", zero ?? ""],
    );
    const matrix = graph.initializer(
      `int8_${seed}`,
      "INT8",
      [WIDTH, WIDTH],
      Int8Array.from(weights(seed, WIDTH * WIDTH), (value) => value * 100),
    );
    graph.op("MatMulInteger", [quantized ?? "", matrix, zero ?? ""], {}, output);
    const floats = graph.op("Cast", [output], { to: CAST_TO.FP32 });
    const product = graph.op("Mul", [floats, scale ?? ""]);
    values.add("FP32", graph.op("Sin", [product], {}, `${output}_scaled`));
  },
  topk: (graph, values, { a, seed }) => {
    const [sorted, places] = [`sorted_${seed}_${a}`, `places_${seed}_${a}`];
    if (values.byKind.FP32.includes(sorted)) return;
    const all = graph.int64s("width", [WIDTH]);
    graph.node("TopK", [values.pick("FP32", a), all], [sorted, places]);
    values.add("FP32", sorted);
    values.add("INT64", places);
  },
  reversed: (graph, values, { a, b }) => {
    const order = graph.int64s("reversed_columns", [3, 2, 1, 0]);
    for (const kind of ["FP32", "BYTES"] as const) {
      const name = values.pick(kind, kind === "FP32" ? a : b);
      values.add(kind, graph.op("Gather", [name, order], { axis: 1 }));
    }
  },
  toDouble: cast("FP32", "FP64"),
  fromDouble: cast("FP64", "FP32"),
  toInt32: cast("INT64", "INT32"),
  fromInt32: cast("INT32", "INT64"),
  toText: cast("INT64", "BYTES"),
  floatToText: cast("FP32", "BYTES"),
  fromBool: cast("BOOL", "FP32"),
  /** One branch or the other, by what is in the tensor; both read values of the graph around them. */
  choice: (graph, values, { a, b, seed }) => {
    const [left, right] = [values.pick("FP32", a), values.pick("FP32", b)];
    const sum = graph.op("ReduceSum", [left], { keepdims: 0 });
    const condition = graph.op("Greater", [sum, graph.floats("none", [0])]);
    const branch = (opType: string, inputs: string[]): GraphBuilder => {
      const body = new GraphBuilder(opType);
      const output = `${condition}_${seed}_${opType}`;
      body.op(opType, inputs, {}, output);
      body.output(output, "FP32", SHAPE);
      return body;
    };
    const output = `${condition}_chosen`;
    const bodies = {
      then_branch: branch("Max", [left, right]),
      else_branch: branch("Neg", [right]),
    };
    graph.control("If", [condition], [output], bodies);
    values.add("FP32", output);
  },
  /** As many rounds as the request says, with a value that is carried and texts that are carried along. */
  loop: (graph, values, { a, b, seed }) => {
    const start = values.pick("FP32", a);
    const around = values.pick("FP32", b);
    const id = `loop_${seed}_${values.byKind.FP32.length}`;
    const body = new GraphBuilder(id);
    body.input(`${id}_round`, "INT64", []);
    body.input(`${id}_goes_on`, "BOOL", []);
    body.input(`${id}_carried`, "FP32", SHAPE);
    body.input(`${id}_text`, "BYTES", SHAPE);
    const sum = body.op("Add", [`${id}_carried`, around], {}, `${id}_sum`);
    body.op("Identity", [`${id}_goes_on`], {}, `${id}_still`);
    body.op("Sin", [sum], {}, `${id}_next`);
    const order = body.int64s(`${id}_order`, [1, 2, 3, 0]);
    body.op("Gather", [`${id}_text`, order], { axis: 1 }, `${id}_turned`);
    body.output(`${id}_still`, "BOOL", []);
    body.output(`${id}_next`, "FP32", SHAPE);
    body.output(`${id}_turned`, "BYTES", SHAPE);
    const texts = values.pick("BYTES", b);
    const outputs = [`${id}_result`, `${id}_texts`];
    graph.control("Loop", ["times", "", start, texts], outputs, { body });
    values.add("FP32", outputs[0] ?? "");
    values.add("BYTES", outputs[1] ?? "");
  },
} satisfies Record<string, Build>;

const kinds = Object.keys(STEPS) as Step["kind"][];

export const randomGraph: fc.Arbitrary<RandomGraph> = fc.record({
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom(...kinds),
      a: fc.nat(63),
      b: fc.nat(63),
      seed: fc.nat(7),
    }),
    { minLength: 6, maxLength: 24, size: "max" },
  ),
});

/** Graphs that are the same every time. */
export function sampleGraphs(count: number): readonly RandomGraph[] {
  return fc.sample(randomGraph, { seed: 2026, numRuns: count });
}

/** The last value of every datatype goes out. */
export function onnxOf({ steps }: RandomGraph): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("random");
  graph.input("x", "FP32", SHAPE);
  graph.input("k", "INT64", SHAPE);
  graph.input("s", "BYTES", SHAPE);
  graph.input("times", "INT64", []);
  const values = new Values();
  for (const step of steps) (STEPS[step.kind] as Build)(graph, values, step);
  for (const [kind, names] of Object.entries(values.byKind) as [Kind, string[]][]) {
    const last = names.at(-1);
    if (last === undefined) continue;
    graph.op("Identity", [last], {}, `out_${kind}`);
    graph.output(`out_${kind}`, kind, SHAPE);
  }
  graph.op(
    "Add",
    ["times", graph.initializer("one", "INT64", [], BigInt64Array.of(1n))],
    {},
    "next",
  );
  graph.output("next", "INT64", []);
  return graph.toBytes();
}

const WORDS = ["", "ä", "日本語", "a longer string than sixteen bytes", "😀", "7"];

/** Inputs of `rows` rows; the same every time. */
export function feedsFor(rows: number, seed: number): Record<string, Tensor> {
  const shape = [rows, WIDTH];
  const count = rows * WIDTH;
  const wave = (index: number): number => Math.sin(seed * 12.9898 + index * 78.233) * 3;
  const indexes = Array.from({ length: count }, (_, index) => index);
  const tensor = (datatype: Exclude<Datatype, "BYTES">, of: number[]): Tensor => {
    const array = arrayOf(datatype);
    const is64 = array === BigInt64Array;
    return {
      datatype,
      shape: of.length === 1 && datatype === "INT64" ? [] : shape,
      data: is64 ? BigInt64Array.from(of, BigInt) : Float32Array.from(of),
    } as Tensor;
  };
  return {
    x: tensor("FP32", indexes.map(wave)),
    k: tensor(
      "INT64",
      indexes.map((index) => Math.round(wave(index + 1) * 100)),
    ),
    s: { datatype: "BYTES", shape, data: indexes.map((index) => WORDS[(index + seed) % 6] ?? "") },
    times: tensor("INT64", [seed % 5]),
  };
}
