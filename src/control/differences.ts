import type { CatalogSource } from "../catalog/catalog.ts";
import { type Difference, diffCatalogs, diffValues } from "../catalog/diff.ts";

/** Where two catalogs differ, prices by their id: `prices.embed-1`. */
export function differencesOf(before: CatalogSource, after: CatalogSource): Difference[] {
  return [
    ...diffCatalogs(before, after),
    ...diffValues("prices", pricesById(before), pricesById(after)),
  ];
}

function pricesById({ prices = [] }: CatalogSource): object {
  return Object.fromEntries(prices.map((price) => [price.id, price]));
}
