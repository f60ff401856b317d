import { STABLE, type Catalog, type CatalogCorpus } from "../catalog/catalog.ts";
import type { CorpusManifest } from "../catalog/corpus.ts";
import type { Manifest } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";

const FIELD = "parameters.corpus";
const REFERENCE = /^([a-z0-9][a-z0-9_-]{0,63})(?:@([a-z0-9][a-z0-9-]{0,31}))?$/;
const SHOWN_CHARACTERS = 64;

/**
 * The version of a corpus that a request gets: the one that it names (`docs@2`, `docs@canary`); else `stable` if
 * that has vectors of the version of the model that answers, else the newest that has.
 *
 * @throws NearsideError `invalid_input`, `corpus_not_found`, `corpus_mismatch`
 */
export function chooseCorpus(
  { corpora = {} }: Pick<Catalog, "corpora">,
  reference: string,
  { name: model, version }: Pick<Manifest, "name" | "version">,
): CorpusManifest {
  const [, name, which] = REFERENCE.exec(reference) ?? [];
  if (name === undefined) {
    throw new NearsideError(
      "invalid_input",
      `"${FIELD}" must be the name of a corpus, as "docs", "docs@2" or "docs@canary".`,
      { field: FIELD },
    );
  }
  const corpus = Object.hasOwn(corpora, name) ? corpora[name] : undefined;
  if (corpus === undefined) {
    const known = Object.keys(corpora).join(", ") || "none yet";
    throw notFound(`There is no corpus "${name}"; there are ${known}.`);
  }
  const named = which === undefined ? undefined : namedVersion(name, corpus, which);
  const candidates = named === undefined ? inOrder(corpus) : [named];
  const found = candidates.find((one) => one.model.name === model && one.model.version === version);
  if (found !== undefined) return found;
  const has = candidates.map(
    (one) => `${one.version} has those of ${one.model.name} ${one.model.version}`,
  );
  throw new NearsideError(
    "corpus_mismatch",
    `The corpus "${reference}" has no vectors of ${model} ${version}: version ${has.join(", version ")}. ` +
      `Publish it for that version: nearside corpus publish <file> --name ${name} --model ${model}@${version}`,
    { field: FIELD },
  );
}

/** `stable`, then the others from the newest on. */
function inOrder({ versions, labels }: CatalogCorpus): CorpusManifest[] {
  const stable = labels[STABLE];
  return Object.values(versions).toSorted(
    (a, b) => Number(b.version === stable) - Number(a.version === stable) || b.version - a.version,
  );
}

function namedVersion(
  name: string,
  { versions, labels }: CatalogCorpus,
  which: string,
): CorpusManifest {
  const labelled = Object.hasOwn(labels, which) ? String(labels[which]) : which;
  const found = Object.hasOwn(versions, labelled) ? versions[labelled] : undefined;
  if (found !== undefined) return found;
  const known = [...Object.keys(versions), ...Object.keys(labels)].join(", ");
  throw notFound(
    `The corpus "${name}" has no version or label "${which.slice(0, SHOWN_CHARACTERS)}"; there are ${known}.`,
  );
}

function notFound(message: string): NearsideError {
  return new NearsideError("corpus_not_found", message, { field: FIELD });
}
