import { BilledAccounts } from "./billing-schemas.ts";
import type { Command } from "./command.ts";
import { table } from "./table.ts";

/** `nearside account list` */
export const accountList: Command = {
  summary: "list the accounts: who pays, how, and whether they may",
  usage: "account list",
  options: {},
  help: `Lists the accounts. A request shows a key, the key belongs to an account, and the account pays.

Examples:
  npx nearside account list
  npx nearside account list --json | jq -r '.[].id'`,

  async run({ control }) {
    const client = await control();
    const { value } = await client.get("/v1/accounts", BilledAccounts);
    const rows = value.map(({ id, name, plan, billing, status }) => [
      id,
      name,
      plan,
      billing,
      status,
    ]);
    const text =
      rows.length === 0
        ? "There is no account. `npx nearside account create <name>` makes one."
        : table([["account", "name", "plan", "billing", "status"], ...rows]);
    return { json: value, text };
  },
};
