import { NANO_PER_DOLLAR, toDollars } from "../../billing/money.ts";
import { Price } from "../../billing/price.ts";
import { type CatalogSource } from "../../catalog/catalog.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import { NearsideError } from "../../errors.ts";
import { applyEdit } from "../edit.ts";
import { change, entity, read } from "../route.ts";

const PATH = "/v1/prices";

/** For one request or unit. A thousand requests of more would fill a ledger, which ends at nine million. */
const MAX_EACH = 10_000 * NANO_PER_DOLLAR;

/** What requests cost. A price never changes; another takes its place from some time on. */
export const priceRoutes = [
  read({
    path: PATH,
    summary: "Lists the prices. A model without one costs nothing.",
    answers: "The prices, in the order in which they were added.",
    errors: [],
    async handle({ store }) {
      const { source } = await readCatalogSource(store.bucket);
      return entity(source.prices ?? []);
    },
  }),
  change({
    method: "POST",
    path: PATH,
    summary: "Adds a price. Send If-None-Match: *; a price is never changed.",
    answers: "What has changed in the catalog.",
    body: Price,
    takesForce: true,
    errors: ["invalid_change"],
    handle(context, call) {
      const { body: price, precondition } = call;
      if (precondition.kind !== "absent") {
        throw new NearsideError(
          "precondition_failed",
          "A price is added, never changed: send If-None-Match: *, and add another for another time.",
          { field: "if-match" },
        );
      }
      if (!call.force) refuseSlip(price);
      return applyEdit(context, call, {
        what: `price "${price.id}"`,
        action: "price.add",
        target: `prices/${price.id}`,
        sentence: `the price ${price.id} is added`,
        read: (source) => priceIn(source, price.id),
        write: (source) => ({ ...source, prices: [...(source.prices ?? []), price] }),
      });
    },
  }),
];

/** @throws NearsideError `invalid_change` for what nobody means: it can't be changed once requests are billed */
function refuseSlip({ perRequest, perUnit }: Price): void {
  for (const [name, each] of Object.entries({ ...perUnit, perRequest })) {
    if (each <= MAX_EACH) continue;
    throw new NearsideError(
      "invalid_change",
      `${toDollars(each)} dollars for one are very much: send force=true if they are meant.`,
      { field: name === "perRequest" ? name : `perUnit.${name}` },
    );
  }
}

function priceIn({ prices = [] }: CatalogSource, id: string): Price | undefined {
  return prices.find((price) => price.id === id);
}
