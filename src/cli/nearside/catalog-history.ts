import type { Command } from "./command.ts";
import { HistoryPage } from "./control-schemas.ts";
import { wholeNumber } from "./parse.ts";
import { when } from "./present.ts";
import { table } from "./table.ts";

const LIMIT = 20;

/** `nearside catalog history` */
export const catalogHistory: Command = {
  summary: "list the catalogs that there were: when, by whom, what changed",
  usage: "catalog history [--limit <n>]",
  options: { limit: { type: "string" } },
  help: `Every change makes a new catalog (labels, switches, flags, the versions there are), and every catalog is kept
by its number. The newest come first.

  --limit <n>   instead of ${LIMIT}

Examples:
  npx nearside catalog history
  npx nearside catalog history --limit 100 --json | jq '.[].change'`,

  async run({ options, control }) {
    const { limit } = options;
    const query = { limit: typeof limit === "string" ? wholeNumber("limit", limit, 1) : LIMIT };
    const client = await control();
    const { value } = await client.get("/v1/catalogs", HistoryPage, { query });
    const rows = value.map(({ number, at, by, change }) => [
      String(number),
      at === undefined ? "-" : when(at),
      by ?? "-",
      change ?? "-",
    ]);
    return {
      json: value,
      text:
        rows.length === 0
          ? "There is no catalog yet: `npx nearside publish` makes the first."
          : table([["number", "when", "by", "change"], ...rows]),
    };
  },
};
