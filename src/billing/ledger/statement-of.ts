import { type Nano, add, nano, subtract } from "../money.ts";
import { DAY_MS, HOUR_MS, dayOf, endOf, hourOf, startOf } from "../periods.ts";
import { LedgerError } from "./errors.ts";
import { type BookedEntry, balanceAt, entriesIn, totalsIn } from "./journal.ts";
import { EVENT_DAYS, HOUR_MONTHS } from "./retention.ts";
import { type PeriodSum, type UsageSum, addSum, lineKey, readSums } from "./sums.ts";
import { monthsBefore } from "../periods.ts";

export type StatementLine = Readonly<UsageSum>;

/**
 * What an account used, paid and owes, from one hour up to another. To the nano-dollar,
 * `closing = opening - usage + allowance + volume + repeat + credit + refund + adjustment`,
 * `usage` is the sum of the receipts, and the lines sum up to `usage`, `allowance`, `volume` and `repeat`.
 */
export interface Statement {
  readonly account: string;
  readonly currency: "USD";
  /** ISO times; `to` is not in it any more. */
  readonly from: string;
  readonly to: string;
  /** What was left; below zero: owed. */
  readonly opening: Nano;
  readonly usage: Nano;
  /** Taken off: free units, tiers, and retries that an Idempotency-Key had billed before. */
  readonly allowance: Nano;
  readonly volume: Nano;
  readonly repeat: Nano;
  readonly credit: Nano;
  readonly refund: Nano;
  readonly adjustment: Nano;
  readonly closing: Nano;
  /** When it was made: what was recorded later is not in it. */
  readonly recordedUpTo: string;
  /** Until when requests of its period may still be recorded; a month is final 35 days after its end. */
  readonly provisionalUntil: string;
  readonly isProvisional: boolean;
  readonly lines: readonly StatementLine[];
  readonly entries: readonly BookedEntry[];
}

/** @throws LedgerError `invalid_period` */
export function statementOf(
  sql: SqlStorage,
  account: string,
  from: number,
  to: number,
  now: number,
): Statement {
  const lines = linesOf(sumsIn(sql, from, to, now));
  const totals = totalsIn(sql, from, to);
  const { allowance, volume, repeat, credit, refund, adjustment } = totals;
  const usage = subtract(0, totals.usage);
  const opening = balanceAt(sql, from);
  const off = add(allowance, volume, repeat);
  const closing = add(subtract(opening, usage), off, credit, refund, adjustment);
  const metered = { amount: usage, allowance, volume, repeated: repeat } as const;
  for (const [part, total] of Object.entries(metered)) {
    const sum = add(...lines.map((line) => line[part as keyof typeof metered]));
    if (sum === total) continue;
    throw new LedgerError("not_balanced", `The lines' ${part} is ${sum}, the journal's ${total}.`);
  }
  const finalAt = finalFrom(to);
  return {
    account,
    currency: "USD",
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    opening,
    usage,
    allowance,
    volume,
    repeat,
    credit,
    refund,
    adjustment,
    closing: nano(closing),
    recordedUpTo: new Date(now).toISOString(),
    provisionalUntil: new Date(finalAt).toISOString(),
    isProvisional: now < finalAt,
    lines,
    entries: entriesIn(sql, from, to),
  };
}

/** From then on the ledger records nothing more of what was before this moment: see `horizonOf`. */
function finalFrom(to: number): number {
  const wholeDays = startOf("day", to) === to ? to : endOf("day", to);
  return wholeDays + EVENT_DAYS * DAY_MS;
}

/** Sums of whole days, and of the hours before and after them. */
export function sumsIn(sql: SqlStorage, from: number, to: number, now: number): PeriodSum[] {
  if (!(from < to) || from % HOUR_MS !== 0 || to % HOUR_MS !== 0) {
    throw new LedgerError("invalid_period", "A period goes from one full hour to a later one.");
  }
  const hours = (a: number, b: number) => readSums(sql, "hours", hourOf(a), hourOf(b));
  const firstDay = startOf("day", from) === from ? from : endOf("day", from);
  const lastDay = startOf("day", to);
  const oldest = monthsBefore(now, HOUR_MONTHS);
  const isHourly = (from < firstDay && from < oldest) || (lastDay < to && lastDay < oldest);
  if (isHourly) {
    throw new LedgerError(
      "invalid_period",
      `Hours are kept for ${HOUR_MONTHS} months: before that a period goes from day to day.`,
    );
  }
  if (firstDay > lastDay) return hours(from, to);
  return [
    ...(from < firstDay ? hours(from, firstDay) : []),
    ...readSums(sql, "days", dayOf(firstDay), dayOf(lastDay)),
    ...(lastDay < to ? hours(lastDay, to) : []),
  ];
}

function linesOf(sums: readonly PeriodSum[]): StatementLine[] {
  const lines = new Map<string, UsageSum>();
  for (const { period: _, ...sum } of sums) {
    const key = lineKey(sum);
    const line = lines.get(key);
    if (line === undefined) lines.set(key, { ...sum, units: { ...sum.units } });
    else addSum(line, sum);
  }
  return [...lines.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
}
