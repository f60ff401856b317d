import {
  type Receipt,
  type ReceiptFault,
  type ReceiptKeySet,
  checkReceipt,
  digestOf,
} from "../../billing/receipt.ts";
import type { AccountStatement, BilledEvent } from "./billing-schemas.ts";
import { dollarsText } from "./dollars.ts";

const FAULTS: Readonly<Record<ReceiptFault, string>> = {
  malformed: "it is no signed receipt",
  unknown_key: "it is signed by a key that is not among those published",
  bad_signature: "its signature is not of what it says",
  outside_key_time: "its key did not sign at that time",
  not_a_receipt: "what is signed is no receipt",
};

/** A receipt that holds, or why one does not. */
export type Looked =
  | { readonly ok: true; readonly receipt: Receipt; readonly kid: string }
  | { readonly ok: false; readonly problem: string; readonly receipt?: Receipt };

/** The receipts in a text: one a line, alone or behind the header's name, as answers and streams carry them. */
export function receiptsIn(text: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const named = lines.flatMap(
    (line) => /^(?:[<:] ?)?nearside-receipt:? +(\S+)$/i.exec(line)?.[1] ?? [],
  );
  const isAnswer = named.length > 0 || text.startsWith("HTTP/");
  return isAnswer ? named : lines.filter((line) => line !== "");
}

/** Looks at each receipt. One that is there twice counts once. */
export async function lookAt(receipts: readonly string[], keys: ReceiptKeySet): Promise<Looked[]> {
  const seen = new Set<string>();
  const looked: Looked[] = [];
  for (const jws of receipts) {
    const checked = await checkReceipt(jws, keys);
    if (!checked.ok) {
      looked.push({ ok: false, problem: FAULTS[checked.fault] });
      continue;
    }
    const { receipt, kid } = checked;
    const event = `${receipt.account} ${receipt.event}`;
    looked.push(
      seen.has(event)
        ? { ok: false, problem: "it is there twice", receipt }
        : { ok: true, receipt, kid },
    );
    seen.add(event);
  }
  return looked;
}

/**
 * Holds receipts that are good against the ledger's own events: each must have been billed, under its id, with
 * this very receipt and at its amount.
 *
 * @param jws the signed receipts, in the order of what was looked at
 * @param eventOf undefined where the ledger has none of this id
 */
export async function tieToEvents(
  looked: readonly Looked[],
  jws: readonly string[],
  account: string,
  eventOf: (id: string) => Promise<BilledEvent | undefined>,
): Promise<Looked[]> {
  const tied: Looked[] = [];
  for (const [index, one] of looked.entries()) {
    const problem = one.ok
      ? await untied(one.receipt, jws[index] ?? "", account, eventOf)
      : undefined;
    tied.push(one.ok && problem !== undefined ? { ok: false, problem, receipt: one.receipt } : one);
  }
  return tied;
}

async function untied(
  receipt: Receipt,
  jws: string,
  account: string,
  eventOf: (id: string) => Promise<BilledEvent | undefined>,
): Promise<string | undefined> {
  if (receipt.account !== account) return `it is of ${receipt.account}, not of ${account}`;
  const event = await eventOf(receipt.event);
  if (event === undefined) {
    return "the ledger has no such event: it has not arrived yet, or is older than 35 days";
  }
  if (event.receipt !== (await digestOf(jws))) return "its event was billed with another receipt";
  if (event.amount === receipt.amount) return undefined;
  return `its event was billed at ${dollarsText(event.amount)}`;
}

interface Sum {
  requests: number;
  amount: number;
  units: Record<string, number>;
}

/** What receipts and statement say of the same thing. */
export interface Compared {
  /** What the statement can't have billed as the receipts say; empty when it can. */
  readonly problems: readonly string[];
  /** Whether the receipts are all of its usage, to the nano-dollar. */
  readonly isWhole: boolean;
}

/**
 * Holds receipts that are good against a statement. It has no requests of its own, only their sums by model,
 * version and placement: none of them may be less than the receipts' are.
 */
export function compare(receipts: readonly Receipt[], statement: AccountStatement): Compared {
  const problems: string[] = [];
  const told = new Map<string, Sum>();
  for (const receipt of receipts) {
    const problem = outside(receipt, statement);
    if (problem !== undefined) problems.push(`${receipt.requestId}: ${problem}`);
    else
      addTo(told, lineOf(receipt), { requests: 1, amount: receipt.amount, units: receipt.units });
  }
  const billed = new Map<string, Sum>();
  for (const line of statement.lines) addTo(billed, lineOf(line), line);
  let isWhole = problems.length === 0;
  for (const name of new Set([...told.keys(), ...billed.keys()])) {
    const a = told.get(name) ?? NOTHING;
    const b = billed.get(name) ?? NOTHING;
    const units = Object.keys({ ...a.units, ...b.units });
    const pairs: [string, number, number][] = [
      ["requests", a.requests, b.requests],
      ...units.map((unit): [string, number, number] => [
        unit,
        a.units[unit] ?? 0,
        b.units[unit] ?? 0,
      ]),
    ];
    for (const [what, ours, theirs] of pairs) {
      if (ours > theirs) problems.push(`${name}: receipts of ${ours} ${what}, ${theirs} billed`);
    }
    if (a.amount > b.amount) {
      const [ours, theirs] = [a.amount, b.amount].map(dollarsText);
      problems.push(`${name}: receipts of ${ours}, ${theirs} billed`);
    }
    isWhole &&= a.amount === b.amount && pairs.every(([, ours, theirs]) => ours === theirs);
  }
  return { problems, isWhole };
}

const NOTHING: Sum = { requests: 0, amount: 0, units: {} };

function outside(receipt: Receipt, { account, from, to }: AccountStatement): string | undefined {
  if (receipt.account !== account)
    return `it is of ${receipt.account}, the statement of ${account}`;
  const at = Date.parse(receipt.at);
  if (at >= Date.parse(from) && at < Date.parse(to)) return undefined;
  return `it is of ${receipt.at}, which the statement does not cover`;
}

type Line = Readonly<{ model: string; version: number; placement: string }>;

const lineOf = ({ model, version, placement }: Line): string =>
  `${model} ${version} at the ${placement}`;

function addTo(sums: Map<string, Sum>, name: string, more: Readonly<Sum>): void {
  const { requests, amount, units } = sums.get(name) ?? { ...NOTHING, units: {} };
  const summed = { ...units };
  for (const [unit, count] of Object.entries(more.units))
    summed[unit] = (summed[unit] ?? 0) + count;
  sums.set(name, {
    requests: requests + more.requests,
    amount: amount + more.amount,
    units: summed,
  });
}
