import * as v from "valibot";

import { Price } from "../../billing/price.ts";
import type { Command } from "./command.ts";
import { ratesText, scopeText } from "./price.ts";
import { table } from "./table.ts";

/** `nearside price list` */
export const priceList: Command = {
  summary: "list the prices: of what, since when, and how much",
  usage: "price list",
  options: {},
  help: `Lists the prices. The most specific one that is in effect counts, and of those the latest. A model that no
price is for costs nothing.

Examples:
  npx nearside price list
  npx nearside price list --json | jq '.[] | select(.model == "minilm")'`,

  async run({ control }) {
    const client = await control();
    const { value } = await client.get("/v1/prices", v.array(Price));
    const rows = value.map((price) => [
      price.id,
      scopeText(price),
      price.from.replace(/T00:00:00(\.000)?Z$/, ""),
      ratesText(price),
    ]);
    const text =
      rows.length === 0
        ? "There is no price: every model costs nothing. `npx nearside price add --help` shows how one is made."
        : table([["price", "for", "from (UTC)", "costs"], ...rows]);
    return { json: value, text };
  },
};
