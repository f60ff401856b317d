import type { FieldProblem } from "../errors.ts";
import type { CatalogSource } from "./catalog.ts";
import { isSameJson } from "./same-json.ts";

type Priced = Pick<CatalogSource, "prices">;

/** Prices that have the id of another. */
export function repeatedPrices({ prices = [] }: Priced): FieldProblem[] {
  return prices.flatMap(({ id }, index) =>
    prices.findIndex((price) => price.id === id) === index
      ? []
      : [{ field: `prices[${index}].id`, problem: `there is a price "${id}" already` }],
  );
}

/** Prices that are not what they were: what was billed by them could not be checked any more. */
export function changedPrices({ prices = [] }: Priced, before: Priced): FieldProblem[] {
  const known = new Map(before.prices?.map((price) => [price.id, price]));
  return prices.flatMap((price, index) => {
    const old = known.get(price.id);
    return old === undefined || isSameJson(old, price)
      ? []
      : [
          {
            field: `prices[${index}]`,
            problem: `the price "${price.id}" can't change; add another, from some time on`,
          },
        ];
  });
}

/** An earlier catalog comes back without losing the prices that came after it: events name them. */
export function withAllPrices(wanted: CatalogSource, { prices: before = [] }: Priced) {
  const ids = new Set(wanted.prices?.map(({ id }) => id));
  const lost = before.filter(({ id }) => !ids.has(id));
  return lost.length === 0 ? wanted : { ...wanted, prices: [...(wanted.prices ?? []), ...lost] };
}
