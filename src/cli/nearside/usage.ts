import { USAGE_COLUMNS as COLUMNS } from "../../billing/usage-report.ts";
import { accountPath } from "./account.ts";
import { UsageReport, type UsageRow } from "./billing-schemas.ts";
import type { Command } from "./command.ts";
import { dollarsText } from "./dollars.ts";
import { spanOf } from "./period.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside usage` */
export const usage: Command = {
  summary: "show what an account has used: by model, version, key and day",
  usage: "usage <account> [--from <period>] [--to <period>] [--by <columns>]",
  options: { from: { type: "string" }, to: { type: "string" }, by: { type: "string" } },
  help: `Shows what an account has used, in units and at what cost. Periods are of UTC: a month, a day or an hour.

  --from <period>   from its beginning (this month's)
  --to <period>     to its end (today's)
  --by <columns>    what to sum it up by, with commas between (model): ${COLUMNS.join(", ")}

Examples:
  npx nearside usage acc_ofsrfkq7enqxcgbu
  npx nearside usage acc_ofsrfkq7enqxcgbu --from 2026-10 --to 2026-10 --by day,model
  npx nearside usage acc_ofsrfkq7enqxcgbu --by key --json | jq '.rows[].amount'`,

  async run({ words: [account = ""], options, control }) {
    const { from, to, by = "model" } = options;
    const columns = COLUMNS.filter((column) => String(by).split(",").includes(column));
    if (columns.length !== String(by).split(",").length) {
      throw new UsageError(
        `--by takes ${COLUMNS.join(", ")}, with commas between them; not "${String(by)}".`,
      );
    }
    const query = { ...spanOf(from, to), by: columns.join(",") };
    const client = await control();
    const { value } = await client.get(accountPath(account, "usage"), UsageReport, { query });
    const text =
      value.rows.length === 0
        ? `Nothing was used from ${query.from} to ${query.to}.`
        : table([
            [...columns, "requests", "units", "list price", "taken off", "cost"],
            ...value.rows.map((row) => rowText(columns, row)),
          ]);
    return { json: value, text };
  },
};

function rowText(columns: readonly (typeof COLUMNS)[number][], row: UsageRow): string[] {
  const off = row.allowance + row.volume + row.repeated;
  return [
    ...columns.map((column) => String(row[column] ?? "-")),
    String(row.requests),
    unitsText(row.units),
    dollarsText(row.amount),
    dollarsText(off),
    dollarsText(row.amount - off),
  ];
}

/** `12 tokens, 3 pixels` */
export function unitsText(units: Readonly<Record<string, number>>): string {
  const all = Object.entries(units).map(([unit, count]) => `${count} ${unit}`);
  return all.join(", ") || "-";
}
