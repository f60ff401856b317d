import type { TaskType } from "../../catalog/manifest.ts";
import { byteClassification } from "../../tasks/byte-classification.ts";
import { embedding } from "../../tasks/embedding.ts";
import { imageClassification } from "../../tasks/image-classification.ts";
import { languageIdentification } from "../../tasks/language-identification.ts";
import { speechActivity } from "../../tasks/speech-activity.ts";
import { tabularClassification } from "../../tasks/tabular.ts";
import { textRecognition } from "../../tasks/text-recognition.ts";
import { anyOf, COUNT, FLAG, listOf, object, type Schema, TEXT } from "./schema.ts";

/** What `POST /v1/predict/{model}` takes and answers for the models of one task. */
export interface TaskDoc {
  /** In a sentence: what goes in, and what comes out. */
  readonly summary: string;
  readonly inputs: Schema;
  readonly parameters: Readonly<Record<string, Schema>>;
  readonly output: Schema;
  /** Media types that a raw body may have. */
  readonly mediaTypes: readonly string[];
  /** A model that ships, and a request to it. */
  readonly example?: { readonly model: string; readonly value: object };
}

const NUMBER: Schema = { type: "number" };
const TEXTS = anyOf(TEXT, listOf(TEXT));
const LABELS = listOf(object({ label: TEXT, score: NUMBER }));
const FOUND = listOf(
  object({ id: TEXT, score: NUMBER, "metadata?": { type: "object" }, "text?": TEXT }),
);
const LINE = object(
  { text: TEXT, score: NUMBER, box: listOf(listOf(NUMBER)) },
  "A line, and its corners.",
);
const WRITTEN = object({ generated_text: TEXT, lines: listOf(LINE) });
const SEGMENTS = listOf(object({ label: TEXT, score: NUMBER, start: NUMBER, end: NUMBER }));
/** One result, or one for each input. */
const each = (result: Schema): Schema => anyOf(result, listOf(result));
const PICTURES: Schema = { ...TEXTS, description: "Pictures in base64, or as data: URLs." };
const TOP_K: Schema = { type: "integer", minimum: 1, default: 5 };

/** A parameter of every task. */
export const TASK: Schema = {
  ...TEXT,
  description:
    "Hugging Face's name of the task: the answer has the form that their clients expect.",
};

/** Every task; one without a row here does not compile. Undefined: it is not for this route. */
export function taskDocs(): { readonly [T in TaskType]: TaskDoc | undefined } {
  return {
    "tabular-classification": {
      summary: "Rows of numbers, and for each what it may be, best first.",
      inputs: anyOf(
        each(anyOf(listOf(NUMBER), { type: "object", additionalProperties: NUMBER })),
        object({ data: { type: "object", additionalProperties: listOf({}) } }, "Columns by name."),
      ),
      parameters: {},
      output: anyOf(each(LABELS), listOf(COUNT)),
      mediaTypes: tabularClassification.mediaTypes,
      example: { model: "iris", value: { inputs: [5.1, 3.5, 1.4, 0.2] } },
    },
    embedding: {
      summary: "Texts, and for each a vector of length 1; or a text and others, and their cosines.",
      inputs: anyOf(TEXTS, object({ source_sentence: TEXT, sentences: listOf(TEXT) })),
      parameters: {
        truncate: { ...FLAG, default: true, description: "Cut texts that are too long." },
        corpus: { ...TEXT, description: "Search this corpus; the answer is what was found." },
        top: {
          type: "integer",
          minimum: 1,
          maximum: 100,
          default: 10,
          description: "Found at most.",
        },
        filter: { description: "Of the corpus: columns and what they must be; JSON in a query." },
        dimensions: {
          type: "integer",
          minimum: 1,
          description: "Numbers of a vector, from the first.",
        },
      },
      output: anyOf(listOf(NUMBER), listOf(listOf(NUMBER)), each(FOUND)),
      mediaTypes: embedding.mediaTypes,
      example: {
        model: "minilm",
        value: { inputs: ["The weather is lovely today.", "It's so sunny outside!"] },
      },
    },
    "byte-classification": {
      summary: "Files, and for each what it may be, best first.",
      inputs: TEXTS,
      parameters: { top_k: TOP_K },
      output: each(LABELS),
      mediaTypes: byteClassification.mediaTypes,
      example: { model: "guesslang", value: { inputs: 'fn main() { println!("Hello"); }' } },
    },
    "language-identification": {
      summary: "Texts, and for each the languages that it may be in (ISO 639-3), best first.",
      inputs: TEXTS,
      parameters: { top_k: TOP_K },
      output: each(LABELS),
      mediaTypes: languageIdentification.mediaTypes,
      example: {
        model: "lande",
        value: { inputs: "Millä kielellä tämä lause on kirjoitettu?", parameters: { top_k: 3 } },
      },
    },
    "image-classification": {
      summary: "Pictures, and for each what it may show, best first.",
      inputs: PICTURES,
      parameters: { top_k: TOP_K },
      output: each(LABELS),
      mediaTypes: imageClassification.mediaTypes,
    },
    "speech-activity": {
      summary: "A recording, and when somebody speaks in it.",
      inputs: { ...TEXT, description: "A WAV file in base64." },
      parameters: {
        threshold: { ...NUMBER, minimum: 0.01, maximum: 1, default: 0.5 },
        min_speech_duration_ms: { ...NUMBER, minimum: 0, default: 250 },
        min_silence_duration_ms: { ...NUMBER, minimum: 0, default: 100 },
        speech_pad_ms: { ...NUMBER, minimum: 0, default: 30 },
        return_probabilities: { ...FLAG, default: false },
      },
      output: anyOf(
        SEGMENTS,
        LABELS,
        object({ segments: SEGMENTS, probabilities: listOf(NUMBER), step_seconds: NUMBER }),
      ),
      mediaTypes: speechActivity.mediaTypes,
    },
    "text-recognition": {
      summary: "Pictures, and for each what is written in it, with its lines and their places.",
      inputs: PICTURES,
      parameters: { min_score: { ...NUMBER, minimum: 0, maximum: 1, default: 0.5 } },
      // An object for an image where `task` is Hugging Face's.
      output: anyOf(WRITTEN, each(listOf(WRITTEN))),
      mediaTypes: textRecognition.mediaTypes,
    },
    "text-generation": undefined,
    tensor: undefined,
  };
}
