import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { checkBatch, checkCharset, rawText, textField, textInputs } from "./inputs.ts";
import { frequencies, hasLetters, normalized } from "./ngrams.ts";
import { output, rankLabels } from "./outputs.ts";
import { numberParameter } from "./parameters.ts";
import type { ManifestOf, Task, Units } from "./task.ts";

const DEFAULT_TOP_K = 5;

export interface LanguageInput {
  /** As the n-grams are counted in them. */
  readonly texts: readonly string[];
  readonly characters: number;
  readonly single: boolean;
  readonly topK: number;
}

/** The place of each n-gram that the model reads. */
export type NgramPlaces = ReadonlyMap<string, number>;

/**
 * The natural language of a text: Hugging Face's `text-classification`, and raw text.
 *
 * Graph: `frequencies` FP32 [batch, n-grams] -> `probabilities` FP32 [batch, labels]; the asset `ngrams` is a JSON
 * array of the n-grams, in order. Output: `[{label, score}]`, best first, for a string or a raw body; an array of
 * those for an array. Units: `items`, and `characters` as sent (UTF-16 units).
 */
export const languageIdentification: Task<"language-identification", LanguageInput, NgramPlaces> = {
  mediaTypes: ["text/plain"],

  decode(request, manifest, { maxBatch }) {
    const { labels } = manifest.task;
    const topK = numberParameter(request.parameters, "top_k", {
      fallback: Math.min(DEFAULT_TOP_K, labels.length),
      minimum: 1,
      maximum: labels.length,
      integer: true,
    });
    if (request.kind === "raw") {
      checkBatch(1, maxBatch);
      checkCharset(request.mediaParameters);
    }
    const inputs =
      request.kind === "raw"
        ? { texts: [rawText(request.bytes)], single: true }
        : textInputs(request.inputs, maxBatch);
    return {
      texts: inputs.texts.map((text, index) => countable(text, manifest, textField(index, inputs))),
      characters: inputs.texts.reduce((sum, { length }) => sum + length, 0),
      single: inputs.single,
      topK,
    };
  },

  estimate: units,

  prepare: ({ [NGRAMS]: asset }) => readPlaces(asset),

  *run(places, input, { task }) {
    const data = new Float32Array(input.texts.length * places.size);
    for (const [row, text] of input.texts.entries()) {
      frequencies(text, places, data, row * places.size);
    }
    const outputs = yield {
      feeds: {
        frequencies: { datatype: "FP32", shape: [input.texts.length, places.size], data },
      },
    };
    const width = task.labels.length;
    const scores = output(outputs, "probabilities", "FP32", input.texts.length * width);
    const results = input.texts.map((_, row) =>
      rankLabels(task.labels, scores, row * width, input.topK),
    );
    return { output: input.single ? results[0] : results, units: units(input) };
  },
};

/** A JSON array of strings. */
const NGRAMS = "ngrams";

const NgramList = v.pipe(v.string(), v.parseJson(), v.array(v.string()), v.minLength(1));

/** @throws NearsideError `model_damaged` */
function readPlaces(asset: Uint8Array | undefined): NgramPlaces {
  const ngrams = v.safeParse(NgramList, new TextDecoder().decode(asset));
  if (!ngrams.success) {
    throw new NearsideError("model_damaged", "The model's list of n-grams can't be used.");
  }
  return new Map(ngrams.output.map((ngram, index) => [ngram, index]));
}

function units({ texts, characters }: LanguageInput): Units {
  return { items: texts.length, characters };
}

/** @throws NearsideError `input_too_long`, and `invalid_input` for a text that is in no language */
function countable(
  text: string,
  { task }: ManifestOf<"language-identification">,
  field: string,
): string {
  if (text.length > task.maxCharacters) {
    throw new NearsideError(
      "input_too_long",
      `The text has ${text.length} characters; this model takes ${task.maxCharacters} at most.`,
      { field },
    );
  }
  const normal = normalized(text);
  if (hasLetters(normal)) return normal;
  throw new NearsideError("invalid_input", "The text has no letters, and so no language.", {
    field,
  });
}
