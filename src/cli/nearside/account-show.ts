import { accountPath, accountText } from "./account.ts";
import { Balance, BilledAccount } from "./billing-schemas.ts";
import type { Command } from "./command.ts";

/** `nearside account show` */
export const accountShow: Command = {
  summary: "show an account with its balance and what it has spent",
  usage: "account show <account>",
  options: {},
  help: `Shows an account: its plan, its limits, and where its ledger stands. What isolates have been lent and not
spent comes back by itself.

Examples:
  npx nearside account show acc_ofsrfkq7enqxcgbu
  npx nearside account show acc_ofsrfkq7enqxcgbu --json | jq .standing.balance`,

  async run({ words: [id = ""], control }) {
    const client = await control();
    const { value: account } = await client.get(accountPath(id), BilledAccount);
    const { value: standing } = await client.get(accountPath(id, "balance"), Balance);
    return { json: { ...account, standing }, text: accountText(account, standing) };
  },
};
