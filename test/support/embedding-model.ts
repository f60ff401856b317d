import type { Manifest } from "../../src/catalog/manifest.ts";
import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { publishGraph, putBlob } from "./publish-graph.ts";

const WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "north", "east", "south", "##erly"];
export const DIMENSIONS = 3;
export const MAX_TOKENS = 8;
/** Ids of the tokenizer lie below this. */
export const TOKENS = WORDS.length;

/** A text is the sum of its words' directions, made to have the length 1; `[CLS]` points up. */
export function embeddingGraph(north: readonly number[] = [1, 0, 0]): Uint8Array<ArrayBuffer> {
  const none = [0, 0, 0];
  const rows = [none, none, [0, 0, 1], none, north, [0, 1, 0], [-1, 0, 0], none];
  const graph = new GraphBuilder("embedding");
  graph.input("input_ids", "INT64", ["batch", "tokens"]);
  graph.input("attention_mask", "INT64", ["batch", "tokens"]);
  const table = graph.floats("table", rows.flat(), [TOKENS, DIMENSIONS]);
  const mask = graph.op("Cast", ["attention_mask"], { to: 1 });
  const seen = graph.op("Unsqueeze", [mask, graph.int64s("last", [-1])]);
  const kept = graph.op("Mul", [graph.op("Gather", [table, "input_ids"]), seen]);
  const sum = graph.op("ReduceSum", [kept, graph.int64s("tokens", [1])], { keepdims: 0 });
  const length = graph.op("ReduceL2", [sum], { axes: [1], keepdims: 1 });
  graph.op("Div", [sum, length], {}, "sentence_embedding");
  graph.output("sentence_embedding", "FP32", ["batch", DIMENSIONS]);
  return graph.toBytes();
}

/** A BERT's `tokenizer.json` that knows three directions. */
export const tokenizerJson = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: WORDS.slice(0, 4).map((content, id) => ({
    id,
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
    ],
    pair: [],
    special_tokens: {
      "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
      "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
    },
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
};

/** Publishes `embeddingGraph` with its tokenizer. */
export async function publishEmbedding(
  bucket: R2Bucket,
  name: string,
  overrides: Partial<Manifest> = {},
  graph = embeddingGraph(),
): Promise<Manifest> {
  const json = Uint8Array.from(new TextEncoder().encode(JSON.stringify(tokenizerJson)));
  return publishGraph(bucket, name, graph, {
    task: {
      type: "embedding",
      maxTokens: MAX_TOKENS,
      dimensions: DIMENSIONS,
      tokenizer: "tokenizer",
    },
    assets: { tokenizer: await putBlob(bucket, json) },
    limits: { maxBatch: 4, maxBodyBytes: 1_000 },
    ...overrides,
  });
}
