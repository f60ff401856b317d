import { NearsideError } from "../errors.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { type EmbeddingInput, embeddingInput, itemField } from "./embedding-input.ts";
import { invalidInput } from "./inputs.ts";
import type { TaskLimits } from "./limits.ts";
import { output } from "./outputs.ts";
import { cosines } from "./sentence-similarity.ts";
import type { ManifestOf, Task, TensorRun, Units } from "./task.ts";
import { TextTokenizer } from "./tokenizer.ts";

/** MiniLM's sample sentences have 3.8 characters per token, spaces included; the prose of its licence 4.9 (measured). */
const CHARACTERS_PER_TOKEN = 4;

/** [CLS] and [SEP]. */
const TOKENS_AROUND = 2;

/**
 * Sentence embeddings: Hugging Face's `feature-extraction` and `sentence-similarity`, and raw `text/plain`.
 *
 * Graph: `input_ids` and `attention_mask` INT64 [batch, tokens] -> `sentence_embedding` FP32
 * [batch, dimensions], normalised. Output: `number[]` for a string, `number[][]` for an array; for
 * `{source_sentence, sentences}` the cosine of each sentence with the source. Units: `items`, and `tokens` without
 * padding.
 */
export const embedding: Task<"embedding", EmbeddingInput, TextTokenizer> = {
  mediaTypes: ["text/plain"],

  decode: embeddingInput,

  estimate({ items }, { task }) {
    let tokens = 0;
    for (const item of items) {
      const content =
        typeof item === "string" ? Math.ceil(item.length / CHARACTERS_PER_TOKEN) : item.length;
      tokens += Math.min(content + TOKENS_AROUND, task.maxTokens);
    }
    return { items: items.length, tokens };
  },

  vectors: ({ items, form, dimensions }, { task }) =>
    form === "comparison" || dimensions < task.dimensions ? undefined : items.length,

  prepare(assets, manifest) {
    const json = assets[manifest.task.tokenizer];
    if (json !== undefined) return new TextTokenizer(json);
    throw new NearsideError("model_damaged", "The model comes without its tokenizer.");
  },

  *run(tokenizer, input, manifest, limits) {
    const { vectors, units } = yield* embed(tokenizer, input, manifest, limits);
    const embeddings = vectors.map((vector) => Array.from(vector));
    switch (input.form) {
      case "one":
        return { output: embeddings[0], units };
      case "several":
        return { output: embeddings, units };
      case "comparison":
        // Cosines hide how far two versions' vectors are apart.
        return { output: cosines(vectors), units, comparable: embeddings };
    }
  },
};

/** Vectors of length 1, in the request's order. */
export interface Embedded {
  readonly vectors: readonly Float32Array[];
  readonly units: Units;
}

/** What `embedding` computes, before it is written down. @throws as `Task.run` */
export function* embed(
  tokenizer: TextTokenizer,
  input: EmbeddingInput,
  { task }: ManifestOf<"embedding">,
  { runTokens, requestTokens }: TaskLimits,
): TensorRun<Embedded> {
  const rows = input.items.map((_, index) => ({
    index,
    ids: tokensOf(tokenizer, input, index, task.maxTokens),
  }));
  const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  if (tokens > requestTokens) {
    throw new NearsideError(
      "batch_too_large",
      `The texts have ${tokens} tokens together; one request may have ${requestTokens}. Send them in several.`,
      { field: input.field },
    );
  }
  const { dimensions } = task;
  const vectors = Array.from<Float32Array>({ length: rows.length });
  for (const batch of microBatches(rows, runTokens)) {
    const outputs = yield { feeds: feedsOf(batch, tokenizer.padId) };
    const data = output(outputs, "sentence_embedding", "FP32", batch.length * dimensions);
    for (const [row, { index }] of batch.entries()) {
      const whole = data.subarray(row * dimensions, (row + 1) * dimensions);
      vectors[index] = input.dimensions < dimensions ? cut(whole, input.dimensions) : whole;
    }
  }
  return { vectors, units: { items: rows.length, tokens } };
}

/** @throws NearsideError `input_too_long`, and `invalid_input` for a token that the model does not know */
function tokensOf(
  tokenizer: TextTokenizer,
  input: EmbeddingInput,
  index: number,
  maxTokens: number,
): readonly number[] {
  const item = input.items[index] ?? "";
  const field = itemField(index, input);
  if (typeof item === "string") {
    const { ids, cut: isCut } = tokenizer.encode(item, maxTokens);
    if (!isCut || input.truncate) return ids;
    throw new NearsideError(
      "input_too_long",
      `The text has more than ${maxTokens} tokens; shorten it, or set "truncate" to true.`,
      { field },
    );
  }
  // Before anything that takes time, or copies them.
  if (item.length > maxTokens) throw tooManyTokens(item.length, maxTokens, field);
  const unknown = item.find((id) => id >= tokenizer.size);
  if (unknown !== undefined) {
    throw invalidInput(
      field,
      `has the token ${unknown}; the model's own tokenizer ends with ${tokenizer.size - 1}`,
    );
  }
  const ids = tokenizer.withSpecialTokens(item);
  if (ids.length <= maxTokens) return ids;
  throw tooManyTokens(ids.length, maxTokens, field);
}

function tooManyTokens(count: number, maxTokens: number, field: string): NearsideError {
  return new NearsideError(
    "input_too_long",
    `The input has ${count} tokens; the model reads ${maxTokens}, special ones included.`,
    { field },
  );
}

/** The first numbers of a vector, made to have the length 1 again. */
function cut(vector: Float32Array, dimensions: number): Float32Array {
  const kept = vector.slice(0, dimensions);
  let squares = 0;
  for (const value of kept) squares += value * value;
  const length = Math.sqrt(squares);
  return length === 0 ? kept : kept.map((value) => value / length);
}

interface TokenizedText {
  /** Its place in the request. */
  readonly index: number;
  readonly ids: readonly number[];
}

/** Rows of like length together, longest first, so that little is padded. */
export function microBatches(rows: readonly TokenizedText[], runTokens: number): TokenizedText[][] {
  const sorted = rows.toSorted((a, b) => b.ids.length - a.ids.length);
  const batches: TokenizedText[][] = [];
  for (let from = 0; from < sorted.length;) {
    const longest = sorted[from]?.ids.length ?? 0;
    const count = Math.max(1, Math.floor(runTokens / Math.max(1, longest)));
    batches.push(sorted.slice(from, from + count));
    from += count;
  }
  return batches;
}

/** What every model of this task takes. @param batch the longest text first */
export function feedsOf(batch: readonly TokenizedText[], padId: number): Record<string, Tensor> {
  const length = batch[0]?.ids.length ?? 0;
  const shape = [batch.length, length];
  const ids = new BigInt64Array(batch.length * length);
  const mask = new BigInt64Array(batch.length * length);
  if (padId !== 0) ids.fill(BigInt(padId));
  for (const [row, text] of batch.entries()) {
    const start = row * length;
    for (const [at, id] of text.ids.entries()) ids[start + at] = BigInt(id);
    mask.fill(1n, start, start + text.ids.length);
  }
  return {
    input_ids: { datatype: "INT64", shape, data: ids },
    attention_mask: { datatype: "INT64", shape, data: mask },
  };
}
