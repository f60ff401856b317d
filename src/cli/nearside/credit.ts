import { randomUUID } from "node:crypto";

import { UserError } from "../user-error.ts";
import { accountPath } from "./account.ts";
import { Entered } from "./billing-schemas.ts";
import type { Command } from "./command.ts";
import { ControlError } from "./control-error.ts";
import { cost, dollars, dollarsText } from "./dollars.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside credit` */
export const credit: Command = {
  summary: "enter a payment, a refund or an adjustment in an account's ledger",
  usage:
    "credit <account> <dollars> [--refund|--adjust] [--note <text>] [--id <id>] [--force] [--dry-run]",
  options: {
    refund: { type: "boolean" },
    adjust: { type: "boolean" },
    note: { type: "string" },
    id: { type: "string" },
    force: { type: "boolean" },
    "dry-run": { type: "boolean" },
  },
  help: `Enters a payment that has arrived. The ledger is never edited: what was wrong is put right by another entry.
The same --id enters the same thing once, however often it is said.

  --refund        give back what was charged
  --adjust        neither paid nor given back; below zero it charges the account
  --note <text>   what the statement says beside it
  --id <id>       yours, such as the payment's number; a new one is made when absent
  --force         more than a million dollars are meant
  --dry-run       show what would be entered, and enter nothing

Examples:
  npx nearside credit acc_ofsrfkq7enqxcgbu 25 --note "by card" --id payment-1042
  npx nearside credit acc_ofsrfkq7enqxcgbu 1.50 --refund --note "outage of the 3rd"
  npx nearside credit acc_ofsrfkq7enqxcgbu -4 --adjust`,

  async run({ words: [account = "", amount = ""], options, control }) {
    const { refund = false, adjust = false, note, id: given } = options;
    if (refund && adjust) throw new UsageError("It is either --refund or --adjust.");
    const kind = refund ? "refund" : adjust ? "adjustment" : "credit";
    const amountNano = (adjust ? dollars : cost)("<dollars>", amount);
    if (amountNano === 0) throw new UsageError("<dollars> is nothing.");
    const id = typeof given === "string" ? given : randomUUID();
    const client = await control();
    const dryRun = options["dry-run"] === true;
    const body = { id, kind, amountNano, note: typeof note === "string" ? note : "" };
    const request = {
      method: "POST",
      body,
      dryRun,
      force: options["force"] === true,
    } as const;
    const entered = await client
      .change(accountPath(account, "credits"), Entered, request)
      .catch((error: unknown) => {
        throw dryRun ? error : sayWhetherEntered(error, id);
      });
    const what = `${kind} of ${dollarsText(amountNano)} (${id})`;
    const balance = `The balance is ${dollarsText(entered.balance)}.`;
    const text = dryRun
      ? `This would be entered (--dry-run; nothing is done): ${what}. ${balance}`
      : `${entered.entered ? "Entered" : "Entered before, and not again"}: ${what}. ${balance}`;
    return { json: entered, text };
  },
};

/** Who gets no answer must not pay twice for asking again. */
function sayWhetherEntered(error: unknown, id: string): unknown {
  const isRefusal = error instanceof ControlError && error.status < 500;
  if (isRefusal || !(error instanceof UserError)) return error;
  error.message += `\nWhether it was entered is not known. Say it again with --id ${id}: that enters it once.`;
  return error;
}
