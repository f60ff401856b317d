import * as v from "valibot";

import { type FieldProblem, NearsideError } from "../errors.ts";
import { checkFlags } from "../routing/check-flags.ts";
import { CATALOG_SOURCE_KEY, catalogKey } from "../store/layout.ts";
import { CatalogSource, EMPTY_CATALOG, STABLE } from "./catalog.ts";
import { compile } from "./compile.ts";
import { changedPrices, repeatedPrices, withAllPrices } from "./prices.ts";
import { CATALOG_KV_KEY } from "./reader.ts";

/** What a change of the catalog needs of the bucket: R2's own verbs. */
export interface CatalogBucket {
  get(key: string): Promise<{ readonly etag: string; text(): Promise<string> } | null>;
  /** @returns null when the condition does not hold */
  put(
    key: string,
    value: string,
    options?: { onlyIf?: { etagMatches?: string; etagDoesNotMatch?: string } },
  ): Promise<unknown>;
}

/** Where the catalog lives: its source in the bucket, what the edge reads in the namespace. */
export interface CatalogStore {
  readonly bucket: CatalogBucket;
  readonly namespace: {
    put(key: string, value: string): Promise<void>;
    get?(key: string): Promise<string | null>;
  };
}

/** Who changes the catalog, and how it is called in its history. */
export interface Provenance {
  readonly by: string;
  /** One sentence: `stable of minilm names version 4`. */
  readonly change: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** @returns the catalog as it shall be; undefined or the same where there is nothing to do */
export type Mutation = (source: CatalogSource) => CatalogSource | undefined;

export interface CatalogChange {
  readonly before: CatalogSource;
  /** The same as `before` when there was nothing to do. */
  readonly after: CatalogSource;
}

/** How often a catalog that somebody else has just changed is read again. */
const ATTEMPTS = 10;

/** `catalog.json`, and the condition under which it is still the same. */
export async function readCatalogSource(bucket: CatalogBucket) {
  const stored = await bucket.get(CATALOG_SOURCE_KEY);
  if (stored === null) {
    return { source: EMPTY_CATALOG, condition: { etagDoesNotMatch: "*" }, text: undefined };
  }
  const text = await stored.text();
  const source = v.parse(CatalogSource, JSON.parse(text));
  return { source, condition: { etagMatches: stored.etag }, text };
}

/**
 * Changes the catalog: checked and compiled, then `catalog.json` if nobody was faster (else once more, from
 * the new one), then its copy under its number, then what the edge reads. Interrupted anywhere and repeated, it ends in
 * the same state: a change that finds nothing to do still sees to the copies.
 *
 * @throws NearsideError `invalid_change` with everything that does not hold together, `catalog_busy`; what
 * `mutate` throws
 */
export async function changeCatalog(
  store: CatalogStore,
  provenance: Provenance,
  mutate: Mutation,
): Promise<CatalogChange> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { source: before, condition, text } = await readCatalogSource(store.bucket);
    const after = changed(before, mutate, provenance);
    // What a crash kept from being filed.
    if (text !== undefined) await fileCopy(store.bucket, before.number, text);
    let compiled = await compile(store, after);
    if (after !== before) {
      const next = JSON.stringify(after, undefined, 2);
      const written = await store.bucket.put(CATALOG_SOURCE_KEY, next, { onlyIf: condition });
      if (written === null) continue;
      await fileCopy(store.bucket, after.number, next);
    }
    // KV has no conditions: whoever finds a newer catalog after writing may have written over it.
    for (;;) {
      await putPatiently(store.namespace, JSON.stringify(compiled));
      const { source: latest } = await readCatalogSource(store.bucket);
      if (latest.number === compiled.number) return { before, after };
      compiled = await compile(store, latest);
    }
  }
  throw new NearsideError("catalog_busy", "The catalog kept changing meanwhile; do this again.", {
    retryAfterSeconds: 1,
  });
}

/** What `changeCatalog` would do. @throws the same */
export async function planChange(
  { bucket }: Pick<CatalogStore, "bucket">,
  mutate: Mutation,
): Promise<CatalogChange> {
  const { source: before } = await readCatalogSource(bucket);
  return { before, after: changed(before, mutate, { by: "", change: "", now: 0 }) };
}

function changed(
  before: CatalogSource,
  mutate: Mutation,
  { by, change, now }: Provenance,
): CatalogSource {
  const mutated = mutate(before);
  const wanted = mutated && withAllPrices(mutated, before);
  if (wanted === undefined || JSON.stringify(wanted) === JSON.stringify(before)) return before;
  // What was wrong before must not keep anybody from switching something off.
  const known = new Set(checkSource(before).map(({ field }) => field));
  const problems = [
    ...checkSource(wanted).filter(({ field }) => !known.has(field)),
    ...changedPrices(wanted, before),
  ];
  const [first] = problems;
  if (first !== undefined) {
    throw new NearsideError("invalid_change", `${first.field}: ${first.problem}.`, {
      field: first.field,
      problems,
    });
  }
  return {
    ...wanted,
    number: before.number + 1,
    at: new Date(now).toISOString(),
    by,
    change,
  };
}

/** Everything in a catalog that does not hold together. */
export function checkSource(source: CatalogSource): FieldProblem[] {
  const { models, corpora = {}, pools = {}, flags } = source;
  const problems: FieldProblem[] = repeatedPrices(source);
  const known: Parameters<typeof checkFlags>[1] = Object.fromEntries(
    Object.entries(models).map(([name, { labels, versions }]) => [
      name,
      { labels, versions: Object.fromEntries(versions.map((version) => [version, true])) },
    ]),
  );
  for (const [name, { versions, labels, origin, offVersions = [] }] of Object.entries(models)) {
    const missing = (version: number): string =>
      `names version ${version}, which is not published; there are ${versions.join(", ")}`;
    for (const [label, version] of Object.entries(labels)) {
      if (versions.includes(version)) continue;
      problems.push({ field: `models.${name}.labels.${label}`, problem: missing(version) });
    }
    for (const [index, version] of offVersions.entries()) {
      if (versions.includes(version)) continue;
      problems.push({ field: `models.${name}.offVersions[${index}]`, problem: missing(version) });
    }
    if (origin !== undefined && !Object.hasOwn(pools, origin.pool)) {
      problems.push({
        field: `models.${name}.origin.pool`,
        problem: `there is no pool "${origin.pool}"; there are ${Object.keys(pools).join(", ") || "none"}`,
      });
    }
    if (labels[STABLE] !== undefined && offVersions.includes(labels[STABLE])) {
      problems.push({
        field: `models.${name}.offVersions`,
        problem: `version ${labels[STABLE]} can't be "${STABLE}" and switched off: name another version "${STABLE}" first, or switch this one on (or the whole model off)`,
      });
    }
  }
  for (const [name, { versions, labels }] of Object.entries(corpora)) {
    for (const [label, version] of Object.entries(labels)) {
      if (versions.includes(version)) continue;
      problems.push({
        field: `corpora.${name}.labels.${label}`,
        problem: `names version ${version}, which is not published; there are ${versions.join(", ")}`,
      });
    }
  }
  return flags === undefined ? problems : [...problems, ...checkFlags(flags, known)];
}

/** KV takes one write a second for a key. */
const KV_RETRY_MS = 1_100;
const KV_ATTEMPTS = 3;

/** The catalog is changed already: a namespace that is busy for a moment must not leave the edge with the old one. */
async function putPatiently(namespace: CatalogStore["namespace"], value: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await namespace.put(CATALOG_KV_KEY, value);
      return;
    } catch (error) {
      if (attempt === KV_ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, KV_RETRY_MS));
    }
  }
}

/** Keeps a catalog under its number, for ever. */
async function fileCopy(bucket: CatalogBucket, number: number, text: string): Promise<void> {
  await bucket.put(catalogKey(number), text, { onlyIf: { etagDoesNotMatch: "*" } });
}
