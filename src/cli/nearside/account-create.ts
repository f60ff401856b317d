import { ACCOUNT_OPTIONS, ACCOUNT_OPTIONS_HELP, accountText, withOptions } from "./account.ts";
import { BilledAccount } from "./billing-schemas.ts";
import type { Command } from "./command.ts";

/** `nearside account create` */
export const accountCreate: Command = {
  summary: "make an account",
  usage:
    "account create <name> [--plan <plan>] [--billing prepaid|postpaid] [--day-limit <dollars>] [--month-limit <dollars>] [--grace <dollars>] [--models <models>] [--dry-run]",
  options: ACCOUNT_OPTIONS,
  help: `Makes an account. It is prepaid on the plan "pay" where nothing else is said, and has no credit yet.

${ACCOUNT_OPTIONS_HELP}

Examples:
  npx nearside account create "Ada Ltd"
  npx nearside account create "Ada Ltd" --billing postpaid --month-limit 500
  npx nearside account create trial --plan free --day-limit 0.50 --models minilm,iris`,

  async run({ words: [name = ""], options, control }) {
    const body = withOptions({ name, plan: "pay", billing: "prepaid" }, options);
    const client = await control();
    const dryRun = options["dry-run"] === true;
    const request = { method: "POST", body, dryRun } as const;
    const account = await client.change("/v1/accounts", BilledAccount, request);
    const next =
      `Put credit on it:  npx nearside credit ${account.id} 25\n` +
      `Make a key for it: npx nearside key create ${account.id} <name>`;
    const text = dryRun
      ? `This would be made (--dry-run; nothing is done):\n${accountText(account)}`
      : `${accountText(account)}\n${next}`;
    return { json: account, text };
  },
};
