import type { Catalog } from "../catalog/catalog.ts";
import type { CorpusManifest } from "../catalog/corpus.ts";
import type { Manifest } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import { notANumber } from "../tasks/outputs.ts";
import { invalidParameter, numberParameter, type Parameters } from "../tasks/parameters.ts";
import { chooseCorpus } from "./choose.ts";
import { type Condition, parseFilter } from "./filter.ts";
import { rowBytesOf } from "./format.ts";
import type { Found, LoadedCorpus } from "./load.ts";

/** What a request asks of a corpus, before it is known which version answers. */
export interface CorpusWish {
  readonly reference: string;
  readonly top: number;
  readonly filter: unknown;
}

/** The same of a version. */
export interface Sought {
  readonly corpus: CorpusManifest;
  readonly top: number;
  readonly conditions: readonly Condition[];
  /** What is billed: those of the corpus, once for each text. */
  readonly vectors: number;
}

/** What is wrong with a search names the corpus, not the inputs: the model takes those. */
const FIELD = "parameters.corpus";

/** Whether a search was refused, which no other version, and no other place, changes. */
export function isOfCorpus({ field = "" }: NearsideError): boolean {
  return field === FIELD || field.startsWith("parameters.filter");
}

/** Ids, metadata and texts of more would be a download. */
const MAX_TOP = 100;
const DEFAULT_TOP = 10;

/**
 * WASM computes without a pause: 64 texts over 100,000 vectors of 384 dimensions take some 100 to 170 ms, 300 where
 * the vectors are all the same (measured), and in the worst case 200 more (`MAX_EXACT_ELEMENTS`), in which the isolate
 * answers nobody else.
 */
const MAX_SCANNED_BYTES = 64 * 100_000 * 384;

/** `{"corpus": "docs", "top": 10, "filter": {…}}`; undefined without a corpus. @throws NearsideError `invalid_input` */
export function corpusWish(parameters: Parameters, { task }: Manifest): CorpusWish | undefined {
  const { corpus: reference = null } = parameters;
  if (task.type !== "embedding") {
    if (reference === null) return undefined;
    throw invalidParameter("corpus", "is for models that make embeddings");
  }
  if (reference === null) {
    const alone = ["top", "filter"].find((name) => (parameters[name] ?? null) !== null);
    if (alone === undefined) return undefined;
    throw invalidParameter(alone, 'is for a search: name a "corpus", too');
  }
  if (typeof reference !== "string") throw invalidParameter("corpus", "must be a string");
  const range = { fallback: DEFAULT_TOP, minimum: 1, maximum: MAX_TOP, integer: true };
  return {
    reference,
    top: numberParameter(parameters, "top", range),
    filter: filterOf(parameters["filter"]),
  };
}

/** In a query string the filter is JSON. */
function filterOf(filter: unknown): unknown {
  if (typeof filter !== "string") return filter;
  try {
    return JSON.parse(filter);
  } catch {
    throw invalidParameter("filter", "must be an object, or JSON of one");
  }
}

/**
 * Finds the corpus of a request, and checks all that needs no vectors.
 *
 * @param queries how many vectors the model will answer; undefined where it is asked for something else
 * @throws NearsideError `corpus_not_found`, `corpus_mismatch`, `invalid_input`, `batch_too_large`
 */
export function seek(
  catalog: Catalog,
  { reference, top, filter }: CorpusWish,
  manifest: Manifest,
  queries: number | undefined,
): Sought {
  if (queries === undefined) {
    throw invalidParameter(
      "corpus",
      'is for whole vectors of texts: a string or an array of strings as "inputs", and no "dimensions"',
    );
  }
  const corpus = chooseCorpus(catalog, reference, manifest);
  const conditions = parseFilter(filter, corpus.columns, "parameters.filter");
  const most = Math.floor(MAX_SCANNED_BYTES / (corpus.count * rowBytesOf(corpus.dimensions)));
  if (queries > Math.max(1, most)) {
    throw new NearsideError(
      "batch_too_large",
      `One request may search "${corpus.name}" for ${Math.max(1, most)} texts, not for ${queries}. Send them in several.`,
      { field: FIELD },
    );
  }
  return { corpus, top, conditions, vectors: corpus.count * queries };
}

/**
 * Ranks what an embedding model answered: a vector, or an array of them, as `seek` was told.
 *
 * @throws NearsideError `inference_failed`
 */
export function search(
  loaded: LoadedCorpus,
  { top, conditions }: Sought,
  output: unknown,
): Found[] | Found[][] {
  const single = Array.isArray(output) && typeof output[0] === "number";
  const vectors = (single ? [output] : output) as readonly (readonly number[])[];
  const queries = vectors.map((vector) => {
    if (!vector.every(Number.isFinite)) throw notANumber();
    return Float32Array.from(vector);
  });
  const found = loaded.search({ queries, top, conditions });
  return single ? (found[0] ?? []) : found;
}
