import path from "node:path";
import { pathToFileURL } from "node:url";

import { packageFolder } from "../../src/publish/source.ts";

export const PACKAGE = "lande";

/** The n-grams whose frequencies the model reads: its inputs, in this order. */
export interface Ngrams {
  readonly unigrams: readonly string[];
  readonly bigrams: readonly string[];
  readonly trigrams: readonly string[];
  readonly quadgrams: readonly string[];
}

/** A layer as toygrad keeps it. */
interface Layer {
  readonly type: string;
  readonly _biases?: string;
  readonly _filters?: readonly string[];
}

/** What the authors' package holds, beside the function that it exports. */
export interface Authors {
  readonly labels: readonly string[];
  readonly ngrams: Ngrams;
  readonly layers: readonly Layer[];
}

export async function readAuthors(): Promise<Authors> {
  const [labels, ngrams, options] = await Promise.all([
    authorsFile<readonly string[]>("t50-langs.js"),
    authorsFile<Ngrams>("t50-ngrams.js"),
    authorsFile<{ readonly layers: readonly Layer[] }>("t50-options.js"),
  ]);
  return { labels, ngrams, layers: options.layers };
}

/** The package exports its function only. */
async function authorsFile<T>(name: string): Promise<T> {
  const file = path.join(packageFolder(PACKAGE), "standalone", name);
  const module = (await import(pathToFileURL(file).href)) as { readonly default: T };
  return module.default;
}
