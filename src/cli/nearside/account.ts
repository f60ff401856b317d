import type { Balance, BilledAccount } from "./billing-schemas.ts";
import type { CommandContext } from "./command.ts";
import { cost, dollarsText } from "./dollars.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage-error.ts";

/** Where the control plane keeps an account, and what belongs to it: `accountPath(id, "keys")`. */
export const accountPath = (account: string, ...more: readonly string[]): string =>
  ["/v1/accounts", ...[account, ...more].map(encodeURIComponent)].join("/");

/** What an account can be told, at its making and later. */
export const ACCOUNT_OPTIONS = {
  plan: { type: "string" },
  billing: { type: "string" },
  "day-limit": { type: "string" },
  "month-limit": { type: "string" },
  grace: { type: "string" },
  models: { type: "string" },
  "dry-run": { type: "boolean" },
} as const;

export const ACCOUNT_OPTIONS_HELP = `  --plan <plan>            free, pay, enterprise, or a name of your own
  --billing <how>          prepaid: spends its credit; postpaid: owes what it spends
  --day-limit <dollars>    what may be spent per day (UTC)
  --month-limit <dollars>  and per month
  --grace <dollars>        what each isolate may give while the ledger can't be reached
  --models <models>        only these, with commas between them
  --dry-run                show what would be, and change nothing`;

type Settings = Record<string, unknown>;

/**
 * The account with what the options say; "off" takes a limit, and "all" the bounds on models, away.
 *
 * @throws UsageError
 */
export function withOptions(account: Settings, options: CommandContext["options"]): Settings {
  const text = (name: string): string | undefined => {
    const value = options[name];
    return typeof value === "string" ? value : undefined;
  };
  const changed = { ...account };
  const set = (field: string, value: unknown) => {
    if (value !== undefined) changed[field] = value;
  };
  for (const field of ["name", "plan", "billing"]) set(field, text(field));
  const limits: Settings = { ...(account["limits"] as Settings | undefined) };
  for (const [option, field] of LIMITS) {
    const given = text(option);
    if (given === "off") delete limits[field];
    else if (given !== undefined) limits[field] = cost(`--${option}`, given);
  }
  changed["limits"] = limits;
  const grace = text("grace");
  if (grace === "off") delete changed["grace"];
  else if (grace !== undefined) changed["grace"] = { nano: cost("--grace", grace) };
  const models = text("models");
  if (models === "all") delete changed["models"];
  else if (models !== undefined) changed["models"] = wordsOf("models", models);
  return changed;
}

const LIMITS = [
  ["day-limit", "dayNano"],
  ["month-limit", "monthNano"],
] as const;

/** What stands between commas. @throws UsageError where there is nothing */
export function wordsOf(option: string, text: string): string[] {
  const words = text.split(",").map((word) => word.trim());
  if (words.every((word) => word !== "")) return words;
  throw new UsageError(`--${option} takes names with commas between them, not "${text}".`);
}

/** Everything about an account on a few lines. */
export function accountText(account: BilledAccount, balance?: Balance): string {
  const { id, name, plan, billing, status, limits, models, grace } = account;
  const { signers = [], exports = [] } = account;
  return `${id}: ${name}\n${table([
    ["  plan", `${plan}, ${billing}`],
    ["  status", status],
    ...(balance === undefined ? [] : [["  balance", balanceText(balance)]]),
    ["  today", spentText(balance?.spentToday, limits.dayNano)],
    ["  this month", spentText(balance?.spentThisMonth, limits.monthNano)],
    ["  models", models?.join(", ") ?? "all"],
    [
      "  grace",
      grace === undefined ? "as its plan has it" : `${dollarsText(grace.nano)} in each isolate`,
    ],
    ...(signers.length === 0 ? [] : [["  signers", signers.map(({ kid }) => kid).join(", ")]]),
    ...(exports.length === 0 ? [] : [["  exports", exports.map(({ kind }) => kind).join(", ")]]),
  ])}`;
}

function spentText(spent: number | undefined, most: number | undefined): string {
  const limit = most === undefined ? "no limit" : `up to ${dollarsText(most)}`;
  return spent === undefined ? limit : `${dollarsText(spent)} spent, ${limit}`;
}

export function balanceText({ balance, outstanding }: Balance): string {
  const held =
    outstanding === 0 ? "" : `, of which ${dollarsText(outstanding)} are lent to isolates`;
  return dollarsText(balance) + held;
}
