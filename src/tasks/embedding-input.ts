import { NearsideError } from "../errors.ts";
import { checkBatch, checkCharset, rawText, textInputs } from "./inputs.ts";
import type { TaskLimits } from "./limits.ts";
import {
  booleanParameter,
  invalidParameter,
  numberParameter,
  type Parameters,
  taskParameter,
} from "./parameters.ts";
import { comparedField, comparedTexts, isComparison } from "./sentence-similarity.ts";
import type { ManifestOf, TaskRequest } from "./task.ts";

/** A text beyond this is no sentence: some 60 times what a BERT can read. */
const MAX_TEXT_CHARACTERS = 65_536;

/** What becomes one vector: a text, or ids of the model's own tokenizer. */
export type EmbeddingItem = string | readonly number[];

export interface EmbeddingItems {
  readonly items: readonly EmbeddingItem[];
  /** What came, which decides what is answered: one item, several, or one that others are compared with. */
  readonly form: "one" | "several" | "comparison";
  /** Where they stand in the request. */
  readonly field: string;
}

export interface EmbeddingInput extends EmbeddingItems {
  /** Cut texts that are too long; otherwise refuse them. Tokens are never cut. */
  readonly truncate: boolean;
  /** Numbers of a vector that are answered, from the first. */
  readonly dimensions: number;
}

/** @throws NearsideError `invalid_input`, `input_too_long`, `batch_too_large`, `unsupported_media_type` */
export function embeddingInput(
  request: TaskRequest,
  { task }: ManifestOf<"embedding">,
  { maxBatch }: TaskLimits,
): EmbeddingInput {
  const { parameters } = request;
  const items = checkedItems(itemsOf(request, maxBatch));
  return {
    ...items,
    truncate: truncateParameter(parameters),
    dimensions: numberParameter(parameters, "dimensions", {
      fallback: task.dimensions,
      minimum: 1,
      maximum: task.dimensions,
      integer: true,
    }),
  };
}

/** @throws NearsideError `input_too_long` for a text that no model of this kind reads */
export function checkedItems(items: EmbeddingItems): EmbeddingItems {
  for (const [index, item] of items.items.entries()) {
    if (typeof item !== "string" || item.length <= MAX_TEXT_CHARACTERS) continue;
    throw new NearsideError(
      "input_too_long",
      `The text has ${item.length} characters; ${MAX_TEXT_CHARACTERS} is the limit.`,
      { field: itemField(index, items) },
    );
  }
  return items;
}

/** Where item `index` stands in the request. */
export function itemField(index: number, { form, field }: EmbeddingItems): string {
  if (form === "comparison") return comparedField(index);
  return form === "one" ? field : `${field}[${index}]`;
}

function itemsOf(request: TaskRequest, maxBatch: number): EmbeddingItems {
  const task = taskParameter(request.parameters);
  const field = "inputs";
  if (request.kind === "raw") {
    checkCharset(request.mediaParameters);
    checkBatch(1, maxBatch);
    return { items: [rawText(request.bytes)], form: "one", field };
  }
  const { inputs } = request;
  // Nobody else sends an object, so Hugging Face's clients need not say which task they mean.
  if (isComparison(inputs) && task !== "feature-extraction") {
    return { items: comparedTexts(inputs, maxBatch), form: "comparison", field };
  }
  if (task === "sentence-similarity") {
    throw new NearsideError(
      "invalid_input",
      '"inputs" must be an object of "source_sentence" and "sentences".',
      { field },
    );
  }
  const { texts, single } = textInputs(inputs, maxBatch);
  return { items: texts, form: single ? "one" : "several", field };
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
