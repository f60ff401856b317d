import { NearsideError } from "../errors.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { checkBatch, checkCharset, rawText, textField, textInputs, type Texts } from "./inputs.ts";
import { output } from "./outputs.ts";
import { booleanParameter, invalidParameter, type Parameters } from "./parameters.ts";
import type { Task, TaskRequest, TensorRun } from "./task.ts";
import { TextTokenizer } from "./tokenizer.ts";

/** A text beyond this is no sentence: some 60 times what a BERT can read. */
const MAX_TEXT_CHARACTERS = 65_536;

/** MiniLM's sample sentences have 3.8 characters per token, spaces included; the prose of its licence 4.9 (measured). */
const CHARACTERS_PER_TOKEN = 4;

/** [CLS] and [SEP]. */
const TOKENS_AROUND = 2;

export interface EmbeddingInput extends Texts {
  /** Cut texts that are too long; otherwise refuse them. */
  readonly truncate: boolean;
}

/**
 * Sentence embeddings: Hugging Face's `feature-extraction`, and raw `text/plain`.
 *
 * Graph: `input_ids` and `attention_mask` INT64 [batch, tokens] -> `sentence_embedding` FP32
 * [batch, dimensions], normalised. Output: `number[]` for a string, `number[][]` for an array.
 * Units: `items`, and `tokens` without padding.
 */
export const embedding: Task<"embedding", EmbeddingInput, TextTokenizer> = {
  mediaTypes: ["text/plain"],

  decode(request, _manifest, { maxBatch }) {
    const texts = decodeTexts(request, maxBatch);
    for (const [index, text] of texts.texts.entries()) {
      if (text.length > MAX_TEXT_CHARACTERS) {
        throw new NearsideError(
          "input_too_long",
          `The text has ${text.length} characters; ${MAX_TEXT_CHARACTERS} is the limit.`,
          { field: textField(index, texts) },
        );
      }
    }
    return { ...texts, truncate: truncateParameter(request.parameters) };
  },

  estimate({ texts }, { task }) {
    let tokens = 0;
    for (const { length } of texts) {
      const read = Math.ceil(length / CHARACTERS_PER_TOKEN) + TOKENS_AROUND;
      tokens += Math.min(read, task.maxTokens);
    }
    return { items: texts.length, tokens };
  },

  prepare(assets, manifest) {
    const json = assets[manifest.task.tokenizer];
    if (json !== undefined) return new TextTokenizer(json);
    throw new NearsideError("model_damaged", "The model comes without its tokenizer.");
  },

  *run(tokenizer, input, manifest, { runTokens, requestTokens }) {
    const { maxTokens, dimensions } = manifest.task;
    let tokens = 0;
    const rows = input.texts.map((text, index): TokenizedText => {
      const { ids, cut } = tokenizer.encode(text, maxTokens);
      if (cut && !input.truncate) throw tooManyTokens(maxTokens, textField(index, input));
      tokens += ids.length;
      return { index, ids };
    });
    if (tokens > requestTokens) {
      throw new NearsideError(
        "batch_too_large",
        `The texts have ${tokens} tokens together; one request may have ${requestTokens}. Send them in several.`,
        { field: "inputs" },
      );
    }
    const embeddings = Array.from<number[]>({ length: rows.length });
    for (const batch of microBatches(rows, runTokens)) {
      const vectors = yield* embed(batch, dimensions, tokenizer.padId);
      for (const [row, { index }] of batch.entries()) {
        embeddings[index] = Array.from(vectors.subarray(row * dimensions, (row + 1) * dimensions));
      }
    }
    return {
      output: input.single ? embeddings[0] : embeddings,
      units: { items: rows.length, tokens },
    };
  },
};

function decodeTexts(request: TaskRequest, maxBatch: number): Texts {
  if (request.kind === "json") return textInputs(request.inputs, maxBatch);
  checkCharset(request.mediaParameters);
  checkBatch(1, maxBatch);
  return { texts: [rawText(request.bytes)], single: true };
}

function truncateParameter(parameters: Parameters): boolean {
  if (!booleanParameter(parameters, "normalize", true)) {
    throw invalidParameter(
      "normalize",
      "can't be false: the model's graph normalises every vector",
    );
  }
  const direction = parameters["truncation_direction"] ?? "right";
  if (typeof direction !== "string" || direction.toLowerCase() !== "right") {
    throw invalidParameter("truncation_direction", 'can only be "right": the end is cut off');
  }
  return booleanParameter(parameters, "truncate", true);
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

/** @returns the vectors of the batch, one after the other */
function* embed(
  batch: readonly TokenizedText[],
  dimensions: number,
  padId: number,
): TensorRun<Float32Array> {
  const outputs = yield { feeds: feedsOf(batch, padId) };
  return output(outputs, "sentence_embedding", "FP32", batch.length * dimensions);
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

function tooManyTokens(maxTokens: number, field: string): NearsideError {
  return new NearsideError(
    "input_too_long",
    `The text has more than ${maxTokens} tokens; shorten it, or set "truncate" to true.`,
    { field },
  );
}
