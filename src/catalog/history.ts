import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { catalogKey } from "../store/layout.ts";
import { CatalogSource, type Flag } from "./catalog.ts";
import { type CatalogBucket, type Mutation, readCatalogSource } from "./changes.ts";

export interface HistoryEntry {
  readonly number: number;
  /** ISO 8601; absent for catalogs written before they were kept. */
  readonly at?: string | undefined;
  readonly by?: string | undefined;
  readonly change?: string | undefined;
}

export interface HistoryOptions {
  readonly limit: number;
  /** Only catalogs with lower numbers. */
  readonly before?: number | undefined;
}

/** The catalogs, newest first. */
export async function listCatalogs(
  bucket: CatalogBucket,
  { limit, before = Number.MAX_SAFE_INTEGER }: HistoryOptions,
): Promise<HistoryEntry[]> {
  const { source } = await readCatalogSource(bucket);
  const newest = Math.min(source.number, before - 1);
  const numbers = Array.from({ length: Math.min(limit, newest) }, (_, at) => newest - at);
  const entries = await Promise.all(
    numbers.map(async (number) => {
      const stored = number === source.number ? source : await findCatalog(bucket, number);
      // Catalogs from before they were kept have no file.
      return stored && { number, at: stored.at, by: stored.by, change: stored.change };
    }),
  );
  return entries.filter((entry) => entry !== undefined);
}

/** @throws NearsideError `catalog_not_found` */
export async function readCatalog(bucket: CatalogBucket, number: number): Promise<CatalogSource> {
  const { source } = await readCatalogSource(bucket);
  const found = number === source.number ? source : await findCatalog(bucket, number);
  if (found !== undefined) return found;
  throw new NearsideError(
    "catalog_not_found",
    `There is no catalog ${number}; the newest is ${source.number}.`,
    { field: "number" },
  );
}

/** The catalog that was kept under a number; undefined where there is none. */
export async function findCatalog(
  bucket: CatalogBucket,
  number: number,
): Promise<CatalogSource | undefined> {
  const stored = await bucket.get(catalogKey(number));
  return stored === null ? undefined : v.parse(CatalogSource, JSON.parse(await stored.text()));
}

/**
 * Labels, flags, routes and pools as an earlier catalog had them. Versions published and pools made since stay,
 * and a model or corpus that it did not know keeps all it has: a rollback takes nothing away that can be asked for.
 * Switches stay as they are, because somebody threw them for a reason; and the flag of a rollout does not come
 * back, because its rollout would not.
 */
export function rolledBack(to: CatalogSource): Mutation {
  return (source) => {
    const models = Object.fromEntries(
      Object.entries(source.models).map(([name, model]) => {
        const earlier = to.models[name];
        if (earlier === undefined) return [name, model];
        const { origin: _, ...rest } = model;
        const { labels, origin } = earlier;
        return [name, { ...rest, labels, ...(origin !== undefined && { origin }) }];
      }),
    );
    const corpora = Object.fromEntries(
      Object.entries(source.corpora ?? {}).map(([name, corpus]) => {
        const { labels } = to.corpora?.[name] ?? corpus;
        return [name, { ...corpus, labels }];
      }),
    );
    const { flags: now, ...rest } = source;
    const known = (name: string): boolean => Object.hasOwn(to.models, name);
    const flags = Object.fromEntries([
      ...Object.entries(now?.flags ?? {}).filter(([name]) => !known(name)),
      ...Object.entries(to.flags?.flags ?? {}).filter(([, flag]) => !isOfRollout(flag)),
    ]);
    const pools = to.pools && { pools: { ...source.pools, ...to.pools } };
    const shared = to.flags?.$evaluators ?? now?.$evaluators;
    const isEmpty = Object.keys(flags).length === 0 && shared === undefined;
    return {
      ...rest,
      models,
      ...(source.corpora && { corpora }),
      ...pools,
      ...(!isEmpty && { flags: { flags, ...(shared && { $evaluators: shared }) } }),
    };
  };
}

/** `rolloutFlag` says so in the flag's metadata. */
function isOfRollout({ metadata }: Flag): boolean {
  return typeof metadata === "object" && metadata !== null && "rollout" in metadata;
}
