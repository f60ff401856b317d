import { writeFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { UserError } from "../user-error.ts";
import { accountPath } from "./account.ts";
import { AccountStatement } from "./billing-schemas.ts";
import type { Command, OptionValue } from "./command.ts";
import { dollarsText } from "./dollars.ts";
import { monthSpan } from "./period.ts";
import { when } from "./present.ts";
import { table } from "./table.ts";
import { unitsText } from "./usage.ts";
import { UsageError } from "./usage-error.ts";

const MEDIA_TYPES = {
  table: "application/json",
  json: "application/json",
  csv: "text/csv",
  html: "text/html",
} as const;

/** `nearside statement` */
export const statement: Command = {
  summary: "show or write the statement of a month, which adds up to the nano-dollar",
  usage: "statement <account> [--month <month>] [--format table|json|csv|html] [--out <file>]",
  options: { month: { type: "string" }, format: { type: "string" }, out: { type: "string" } },
  help: `Shows what an account used, paid and owes in a month of UTC. The usage is the sum of all receipts; what is
free or costs less stands below it.

  --month <month>     such as 2026-11; the running month when absent
  --format <format>   table for a person; json; csv for a spreadsheet; html, a page that prints well
  --out <file>        write it there; the ending .json, .csv or .html chooses the format

Examples:
  npx nearside statement acc_ofsrfkq7enqxcgbu
  npx nearside statement acc_ofsrfkq7enqxcgbu --month 2026-10 --out october.html
  npx nearside statement acc_ofsrfkq7enqxcgbu --format csv > november.csv`,

  async run({ words: [account = ""], options, control }) {
    const { out } = options;
    const file = typeof out === "string" ? out : undefined;
    const asked = formatOf(options["format"], file);
    const format = options["json"] && file === undefined ? "json" : asked;
    const query = monthSpan(options["month"]);
    const client = await control();
    const place = accountPath(account, "statement");
    const sent = await client.text(place, MEDIA_TYPES[format], { query });
    const isJson = MEDIA_TYPES[format] === MEDIA_TYPES.json;
    const value = isJson ? parsed(sent, client.url) : undefined;
    const text = format === "table" && value !== undefined ? statementText(value) : sent;
    if (file === undefined) return { json: value, text: text.trimEnd() };
    await write(file, text.endsWith("\n") ? text : `${text}\n`);
    return { json: { file, format, ...query }, text: `Written: ${file} (${format})` };
  },
};

type Format = keyof typeof MEDIA_TYPES;

/** @throws UsageError */
function formatOf(said: OptionValue, file = ""): Format {
  const ending = path.extname(file).slice(1);
  const format = typeof said === "string" ? said : isFormat(ending) ? ending : "table";
  if (isFormat(format)) return format;
  throw new UsageError(`--format takes table, json, csv or html, not "${format}".`);
}

const isFormat = (word: string): word is Format => Object.hasOwn(MEDIA_TYPES, word);

function parsed(text: string, url: string): AccountStatement {
  try {
    return v.parse(AccountStatement, JSON.parse(text));
  } catch (cause) {
    throw new UserError(
      `${url} does not answer as this version of Nearside expects. Is it deployed from the same sources?`,
      { cause },
    );
  }
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw new UserError(`${file} can't be written: ${(cause as Error).message}`, { cause });
  }
}

function statementText(of: AccountStatement): string {
  const { account, from, to, opening, closing, lines, entries } = of;
  const summary: [string, number][] = [
    ["  opening balance", opening],
    ["  usage", -of.usage],
    ["  free units", of.allowance],
    ["  volume discount", of.volume],
    ["  retried requests", of.repeat],
    ["  payments", of.credit],
    ["  refunds", of.refund],
    ["  adjustments", of.adjustment],
    ["  closing balance", closing],
  ];
  const amounts = summary.map(([words, amount]) => [words, dollarsText(amount === 0 ? 0 : amount)]);
  const used = lines.map((line) => [
    `  ${line.model}`,
    String(line.version),
    line.key,
    line.placement,
    String(line.requests),
    unitsText(line.units),
    dollarsText(line.amount),
  ]);
  const booked = entries.map(({ at, kind, amount, note }) => [
    `  ${when(new Date(at).toISOString())}`,
    kind,
    dollarsText(amount),
    note,
  ]);
  const heads = ["  model", "version", "key", "placement", "requests", "units", "list price"];
  return [
    `${account}, ${from} up to ${to}`,
    ...(of.isProvisional
      ? [`Provisional: requests may still be recorded until ${of.provisionalUntil}.`]
      : []),
    table(amounts),
    ...(used.length === 0 ? [] : ["", table([heads, ...used])]),
    ...(booked.length === 0 ? [] : ["", table([["  when", "what", "amount", "note"], ...booked])]),
  ].join("\n");
}
