import type { CatalogSource } from "./catalog.ts";

/** One place in which two catalogs differ. */
export interface Difference {
  /** `models.minilm.labels.stable`, `flags.minilm.targeting.fractional[1][1]` */
  readonly field: string;
  /** Absent where there was nothing. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Where two catalogs differ, in what they say: not in their number, time or author. */
export function diffCatalogs(before: CatalogSource, after: CatalogSource): Difference[] {
  return [
    ...diffValues("models", before.models, after.models),
    ...diffValues("corpora", before.corpora ?? {}, after.corpora ?? {}),
    ...diffValues("pools", before.pools ?? {}, after.pools ?? {}),
    ...diffValues("flags", before.flags?.flags ?? {}, after.flags?.flags ?? {}),
    ...diffValues("$evaluators", before.flags?.$evaluators ?? {}, after.flags?.$evaluators ?? {}),
    ...diffValues("prices", pricesById(before), pricesById(after)),
  ];
}

/** `prices.embed-1` */
function pricesById({ prices = [] }: CatalogSource): object {
  return Object.fromEntries(prices.map((price) => [price.id, price]));
}

/** Where two JSON values differ; what only one has is named as a whole. */
export function diffValues(field: string, before: unknown, after: unknown): Difference[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
    return names.flatMap((name) => diffValues(`${field}.${name}`, before[name], after[name]));
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return before.flatMap((value, index) => diffValues(`${field}[${index}]`, value, after[index]));
  }
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  return [
    {
      field,
      ...(before !== undefined && { before }),
      ...(after !== undefined && { after }),
    },
  ];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
