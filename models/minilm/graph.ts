import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { transpose } from "../../src/publish/onnx/matrix.ts";
import type { Weights } from "../../src/publish/weights/safetensors.ts";

// config.json of sentence-transformers/all-MiniLM-L6-v2
const HIDDEN = 384;
const HEADS = 12;
const HEAD_WIDTH = HIDDEN / HEADS;
const LAYERS = 6;
const MAX_POSITIONS = 512;
const LAYER_NORM_EPSILON = 1e-12;

/** Added to the scores of padding: far below any real score, and still finite after a sum. */
const MASKED_SCORE = -10_000;

/**
 * The whole of all-MiniLM-L6-v2 as one graph, pooling included.
 *
 * - `input_ids`, `attention_mask`: INT64 `[batch, seq]`, at most 512 tokens
 * - `sentence_embedding`: FP32 `[batch, 384]`, of length 1
 *
 * @param weights by the names of the safetensors file
 */
export function minilmGraph(weights: ReadonlyMap<string, Weights>): Uint8Array {
  return new MinilmGraph(weights).build();
}

class MinilmGraph {
  readonly #graph = new GraphBuilder("all-MiniLM-L6-v2");
  readonly #weights: ReadonlyMap<string, Weights>;

  constructor(weights: ReadonlyMap<string, Weights>) {
    this.#weights = weights;
  }

  build(): Uint8Array {
    const graph = this.#graph;
    const ids = graph.input("input_ids", "INT64", ["batch", "seq"]);
    const attentionMask = graph.input("attention_mask", "INT64", ["batch", "seq"]);
    const mask = graph.op("Cast", [attentionMask], { to: 1 });

    const padding = graph.op("Sub", [graph.floats("one", [1]), mask]);
    const penalty = graph.op("Mul", [padding, graph.floats("masked_score", [MASKED_SCORE])]);
    const attentionBias = graph.op("Unsqueeze", [penalty, graph.int64s("axes_1_2", [1, 2])]);

    let hidden = this.#embed(ids);
    for (let layer = 0; layer < LAYERS; layer += 1) {
      hidden = this.#encode(hidden, attentionBias, `encoder.layer.${layer}`);
    }
    graph.output(this.#pool(hidden, mask), "FP32", ["batch", HIDDEN]);
    return graph.toBytes({ base_model: "sentence-transformers/all-MiniLM-L6-v2" });
  }

  #embed(ids: string): string {
    const graph = this.#graph;
    const table = this.#constant("embeddings.word_embeddings.weight");
    const words = graph.op("Gather", [table, ids]);
    const shape = graph.op("Shape", [ids]);
    const [first, second] = [graph.int64s("first", [1]), graph.int64s("second", [2])];
    const length = graph.op("Slice", [shape, first, second]);
    const zero = graph.int64s("zero", [0]);
    const positions = graph.op("Slice", [this.#positions(), zero, length, zero]);
    return this.#normalize(graph.op("Add", [words, positions]), "embeddings.LayerNorm");
  }

  /** Every token has type 0, so its vector is part of each position's. */
  #positions(): string {
    const { data: positions } = this.#weight("embeddings.position_embeddings.weight");
    const { data: types } = this.#weight("embeddings.token_type_embeddings.weight");
    const sums = positions.map((value, index) => value + types[index % HIDDEN]!);
    return this.#graph.initializer("positions", "FP32", [MAX_POSITIONS, HIDDEN], sums);
  }

  #encode(input: string, attentionBias: string, layer: string): string {
    const graph = this.#graph;
    const attended = this.#attend(input, attentionBias, `${layer}.attention.self`);
    const projected = this.#linear(attended, `${layer}.attention.output.dense`);
    const hidden = this.#normalize(
      graph.op("Add", [projected, input]),
      `${layer}.attention.output.LayerNorm`,
    );
    const widened = this.#gelu(this.#linear(hidden, `${layer}.intermediate.dense`));
    const narrowed = this.#linear(widened, `${layer}.output.dense`);
    return this.#normalize(graph.op("Add", [narrowed, hidden]), `${layer}.output.LayerNorm`);
  }

  #attend(input: string, attentionBias: string, name: string): string {
    const graph = this.#graph;
    const split = graph.int64s("split_heads", [0, 0, HEADS, HEAD_WIDTH]);
    const heads = (part: string, perm: readonly number[]): string =>
      graph.op(
        "Transpose",
        [graph.op("Reshape", [this.#linear(input, `${name}.${part}`), split])],
        {
          perm,
        },
      );
    const query = heads("query", [0, 2, 1, 3]);
    const key = heads("key", [0, 2, 3, 1]);
    const value = heads("value", [0, 2, 1, 3]);
    const width = graph.floats("sqrt_head_width", [Math.sqrt(HEAD_WIDTH)]);
    const scores = graph.op("Div", [graph.op("MatMul", [query, key]), width]);
    const shares = graph.op("Softmax", [graph.op("Add", [scores, attentionBias])], { axis: -1 });
    const mixed = graph.op("Transpose", [graph.op("MatMul", [shares, value])], {
      perm: [0, 2, 1, 3],
    });
    return graph.op("Reshape", [mixed, graph.int64s("merge_heads", [0, 0, HIDDEN])]);
  }

  /** The exact GELU, with erf. */
  #gelu(input: string): string {
    const graph = this.#graph;
    const root = graph.floats("sqrt_2", [Math.SQRT2]);
    const erf = graph.op("Erf", [graph.op("Div", [input, root])]);
    const doubled = graph.op("Mul", [input, graph.op("Add", [erf, graph.floats("one", [1])])]);
    return graph.op("Mul", [doubled, graph.floats("half", [0.5])]);
  }

  /** Mean over the tokens that aren't padding, scaled to length 1. */
  #pool(hidden: string, mask: string): string {
    const graph = this.#graph;
    const axis = graph.int64s("axis_1", [1]);
    const weights = graph.op("Unsqueeze", [mask, graph.int64s("axis_last", [-1])]);
    const masked = graph.op("Mul", [hidden, weights]);
    const sum = graph.op("ReduceSum", [masked, axis], { keepdims: 0 });
    const tokens = graph.op("ReduceSum", [mask, axis], { keepdims: 1 });
    const count = graph.op("Max", [tokens, graph.floats("least_count", [1e-9])]);
    const mean = graph.op("Div", [sum, count]);
    const norm = graph.op("ReduceL2", [mean], { axes: [-1], keepdims: 1 });
    const length = graph.op("Max", [norm, graph.floats("least_length", [1e-12])]);
    return graph.op("Div", [mean, length], {}, "sentence_embedding");
  }

  #linear(input: string, name: string): string {
    const { shape, data } = this.#weight(`${name}.weight`);
    const [outputs = 0, inputs = 0] = shape;
    const matrix = this.#graph.initializer(
      `${name}.weight`,
      "FP32",
      [inputs, outputs],
      transpose(data, outputs, inputs),
    );
    const product = this.#graph.op("MatMul", [input, matrix]);
    return this.#graph.op("Add", [product, this.#constant(`${name}.bias`)]);
  }

  #normalize(input: string, name: string): string {
    return this.#graph.op(
      "LayerNormalization",
      [input, this.#constant(`${name}.weight`), this.#constant(`${name}.bias`)],
      { axis: -1, epsilon: { float: LAYER_NORM_EPSILON } },
    );
  }

  #constant(name: string): string {
    const { shape, data } = this.#weight(name);
    return this.#graph.initializer(name, "FP32", shape, data);
  }

  #weight(name: string): Weights {
    const weights = this.#weights.get(name);
    if (weights === undefined) throw new Error(`The safetensors file has no "${name}".`);
    return weights;
  }
}
