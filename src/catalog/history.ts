import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { catalogKey } from "../store/layout.ts";
import { CatalogSource } from "./catalog.ts";
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

async function findCatalog(
  bucket: CatalogBucket,
  number: number,
): Promise<CatalogSource | undefined> {
  const stored = await bucket.get(catalogKey(number));
  return stored === null ? undefined : v.parse(CatalogSource, JSON.parse(await stored.text()));
}

/**
 * Labels, switches and flags as an earlier catalog had them. Versions published since stay, and a model that
 * it did not know keeps its labels: a rollback takes nothing away that can be asked for.
 */
export function rolledBack(to: CatalogSource): Mutation {
  return (source) => {
    const models = Object.fromEntries(
      Object.entries(source.models).map(([name, model]) => {
        const earlier = to.models[name];
        if (earlier === undefined) return [name, model];
        const { labels, off, offVersions } = earlier;
        const restored = {
          versions: model.versions,
          labels,
          ...(off !== undefined && { off }),
          ...(offVersions !== undefined && { offVersions }),
        };
        return [name, restored];
      }),
    );
    const { flags: _, ...rest } = source;
    return { ...rest, models, ...(to.flags && { flags: to.flags }) };
  };
}
