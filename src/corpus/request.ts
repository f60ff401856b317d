import type { Catalog } from "../catalog/catalog.ts";
import type { CorpusManifest } from "../catalog/corpus.ts";
import type { Manifest } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
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

/** Ids, metadata and texts of more would be a download. */
const MAX_TOP = 100;
const DEFAULT_TOP = 10;

/**
 * WASM computes without a pause: 64 texts over 100,000 vectors of 384 dimensions take some 150 ms (measured), in
 * which the isolate answers nobody else.
 */
const MAX_SCANNED_BYTES = 64 * 100_000 * 384;

/** `{"corpus": "docs", "top": 10, "filter": {…}}`; undefined without a corpus. @throws NearsideError `invalid_input` */
export function corpusWish(parameters: Parameters, { task }: Manifest): CorpusWish | undefined {
  const reference = parameters["corpus"];
  if (reference === undefined || reference === null) return undefined;
  if (task.type !== "embedding") {
    throw invalidParameter("corpus", "is for models that make embeddings");
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
 * @param queries how many texts the request has
 * @throws NearsideError `corpus_not_found`, `corpus_mismatch`, `invalid_input`, `batch_too_large`
 */
export function seek(
  catalog: Catalog,
  { reference, top, filter }: CorpusWish,
  manifest: Manifest,
  queries: number,
): Sought {
  const corpus = chooseCorpus(catalog, reference, manifest);
  const conditions = parseFilter(filter, corpus.columns, "parameters.filter");
  const most = Math.floor(MAX_SCANNED_BYTES / (corpus.count * rowBytesOf(corpus.dimensions)));
  if (queries > Math.max(1, most)) {
    throw new NearsideError(
      "batch_too_large",
      `One request may search "${corpus.name}" for ${Math.max(1, most)} texts, not for ${queries}. Send them in several.`,
      { field: "inputs" },
    );
  }
  return { corpus, top, conditions, vectors: corpus.count * queries };
}

/**
 * Ranks what an embedding model answered: a vector, or an array of them.
 *
 * @throws NearsideError `invalid_input` when the model was asked for something else
 */
export function search(
  loaded: LoadedCorpus,
  { top, conditions }: Sought,
  output: unknown,
): Found[] | Found[][] {
  const { dimensions } = loaded.manifest;
  const single = Array.isArray(output) && typeof output[0] === "number";
  const vectors: readonly unknown[] = single ? [output] : Array.isArray(output) ? output : [];
  const queries = vectors.map((vector) => {
    if (!isVector(vector, dimensions)) {
      throw invalidParameter(
        "corpus",
        `is for whole vectors of texts, of ${dimensions} dimensions: a string, or an array of strings`,
      );
    }
    return Float32Array.from(vector);
  });
  const found = loaded.search({ queries, top, conditions });
  return single ? (found[0] ?? []) : found;
}

function isVector(value: unknown, dimensions: number): value is readonly number[] {
  return Array.isArray(value) && value.length === dimensions && value.every(Number.isFinite);
}
