import * as v from "valibot";

import type { Receipt, ReceiptKeySet } from "../../billing/receipt.ts";
import { UserError } from "../user-error.ts";
import { accountPath } from "./account.ts";
import { AccountStatement, BilledEvent } from "./billing-schemas.ts";
import type { Command, CommandContext, OptionValue } from "./command.ts";
import { nameOf, readDocument, readText } from "./document.ts";
import { dollarsText } from "./dollars.ts";
import { when } from "./present.ts";
import { type Looked, compare, lookAt, receiptsIn, tieToEvents } from "./receipts.ts";
import { table } from "./table.ts";
import { unitsText } from "./usage.ts";

const TIMEOUT_MS = 10_000;

/** Receipts that are shown in full before the rest is counted. */
const SHOWN = 3;

/** `nearside receipt verify` */
export const receiptVerify: Command = {
  summary: "check signed receipts, alone and against a statement",
  usage: "receipt verify <file|-> [--jwks <url|file>] [--statement <file>] [--account <account>]",
  options: {
    jwks: { type: "string" },
    statement: { type: "string" },
    account: { type: "string" },
  },
  help: `Checks receipts from a file or, with -, from the standard input: the values of Nearside-Receipt headers, one
a line, or whole answers as \`curl -i\` writes them. Each must be signed by a published key, and be there once.

  --jwks <url|file>    the published keys; those of the edge's /.well-known/jwks.json when absent
  --statement <file>   a statement in JSON, which must have billed what the receipts say, and says whether they
                       are all of it
  --account <account>  ask the control plane for the event of each: it must have been billed to this account,
                       with this very receipt (events of the last 35 days)

The edge is that of the running \`npm start\`, or the one that NEARSIDE_EDGE_URL names. The exit code is 1 when a
receipt does not hold.

Examples:
  curl -si … | npx nearside receipt verify -
  npx nearside statement acc_ofsrfkq7enqxcgbu --out november.json
  npx nearside receipt verify receipts.txt --statement november.json
  npx nearside receipt verify receipts.txt --account acc_ofsrfkq7enqxcgbu
  npx nearside receipt verify receipts.txt --jwks https://edge.example.com/.well-known/jwks.json`,

  async run(context) {
    const [file = "-"] = context.words;
    const receipts = receiptsIn(await readText(file, context.input));
    if (receipts.length === 0) throw new UserError(`${nameOf(file)} has no receipt.`);
    const statement = await statementIn(context.options["statement"], context.input);
    const signed = await lookAt(receipts, await keysOf(context));
    const { account } = context.options;
    const looked =
      typeof account === "string"
        ? await tieToEvents(signed, receipts, account, await eventsOf(account, context))
        : signed;
    const good = looked.flatMap((one) => (one.ok ? [one.receipt] : []));
    const bad = looked.flatMap((one, at) => (one.ok ? [] : [{ ...one, at }]));
    const compared = statement && compare(good, statement);
    const holds = bad.length === 0 && (compared?.problems ?? []).length === 0;
    const amount = good.reduce((sum, receipt) => sum + receipt.amount, 0);
    const json = {
      holds,
      good: good.length,
      amount,
      receipts: looked,
      ...(compared && { statement: compared }),
    };
    const text = [
      ...good.slice(0, SHOWN).map(receiptText),
      ...(good.length > SHOWN ? [`… and ${good.length - SHOWN} more`] : []),
      ...bad.map(({ problem, receipt, at }) => badText(at, problem, receipt, looked.length)),
      ...(compared?.problems ?? []),
      verdict(holds, looked, amount),
      ...(compared && holds ? [compared.isWhole ? WHOLE : PART] : []),
    ].join("\n");
    return { json, text, exitCode: holds ? 0 : 1 };
  },
};

const WHOLE = "They are all of the statement's usage, to the nano-dollar.";
const PART = "The statement has billed that much, and more that there is no receipt of here.";

function verdict(holds: boolean, looked: readonly Looked[], amount: number): string {
  const good = looked.filter(({ ok }) => ok).length;
  const count = looked.length === 1 ? "The receipt" : `${good} of ${looked.length} receipts`;
  if (looked.length === 1) return holds ? `${count} holds.` : `${count} does not hold.`;
  return `${count} hold${holds ? "" : "; not everything does"}: ${dollarsText(amount)}.`;
}

function badText(at: number, problem: string, receipt: Receipt | undefined, of: number): string {
  const which = of === 1 ? "The receipt" : `Receipt ${at + 1}`;
  return `${which}${receipt === undefined ? "" : ` (${receipt.requestId})`} does not hold: ${problem}.`;
}

function receiptText(receipt: Receipt): string {
  const { requestId, at, account, model, version, manifest, placement, units, price } = receipt;
  return `${requestId}\n${table([
    ["  when", `${when(at)}`],
    ["  account", account],
    ["  model", `${model} ${version} (${manifest.slice(0, 12)}…), at the ${placement}`],
    ["  units", unitsText(units)],
    ["  amount", `${dollarsText(receipt.amount)} (price ${price})`],
  ])}`;
}

const KeySet = v.looseObject({
  keys: v.array(
    v.looseObject({
      kid: v.string(),
      nbf: v.exactOptional(v.number()),
      exp: v.exactOptional(v.number()),
    }),
  ),
});

/** @throws UserError when no keys can be had */
async function keysOf({ options, edge }: CommandContext): Promise<ReceiptKeySet> {
  const { jwks } = options;
  const source = typeof jwks === "string" ? jwks : `${await edge()}/.well-known/jwks.json`;
  const text = /^https?:\/\//.test(source) ? await fetchText(source) : await readText(source, none);
  const parsed = v.safeParse(KeySet, jsonOf(text));
  if (parsed.success) return parsed.output;
  throw new UserError(`${source} is no JWKS, which looks like {"keys": [{"kid": "…", …}]}.`);
}

/** Asks the control plane for one event after the other. */
async function eventsOf(account: string, { control }: CommandContext) {
  const client = await control();
  return async (event: string): Promise<BilledEvent | undefined> =>
    (await client.find(accountPath(account, "events", event), BilledEvent, "route_not_found"))
      ?.value;
}

async function fetchText(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.ok) return await response.text();
    throw new UserError(`${url} answered with status ${response.status}.`);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError(`${url} does not answer.`, { cause });
  }
}

async function statementIn(file: OptionValue, input: () => Promise<string>) {
  if (typeof file !== "string") return undefined;
  const form = "what `npx nearside statement <account> --format json` writes";
  const parsed = v.safeParse(
    AccountStatement,
    await readDocument(file, input, { noun: "statement", form }),
  );
  if (parsed.success) return parsed.output;
  throw new UserError(`${nameOf(file)} is no statement: ${form}.`);
}

const none = (): Promise<string> => Promise.resolve("");

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
