import { type Nano, nano, subtract } from "../money.ts";

export type EntryKind =
  | "usage"
  | "allowance"
  | "volume"
  | "repeat"
  | "credit"
  | "refund"
  | "adjustment";

export interface Entry {
  readonly id: string;
  readonly kind: EntryKind;
  /** What it counts for; usage counts for the hour that `at` begins. */
  readonly at: number;
  /** Above zero, but for an adjustment: one below zero charges the customer. */
  readonly amount: Nano;
  readonly note?: string;
}

/** As it is in the books: in the customer's favour when above zero. */
export interface BookedEntry extends Entry {
  readonly seq: number;
  readonly recorded: number;
  readonly note: string;
}

/** The other side of each entry; the customer's is the one side always. */
const COUNTERPARTS: Readonly<Record<EntryKind, string>> = {
  usage: "revenue/usage",
  allowance: "revenue/discount",
  volume: "revenue/discount",
  repeat: "revenue/discount",
  credit: "funds/credit",
  refund: "revenue/refund",
  adjustment: "adjustments",
};

const CUSTOMER = "customer/";

export const customerOf = (account: string): string => CUSTOMER + account;

/** @returns false when the journal has an entry of this id already */
export function enter(
  sql: SqlStorage,
  account: string,
  { id, kind, at, amount, note = "" }: Entry,
  now: number,
): boolean {
  const known = sql.exec("SELECT 1 FROM journal WHERE id = ?", id).toArray();
  if (known.length > 0) return false;
  const isCharge = kind === "usage" || amount < 0;
  const [debit, credit] = isCharge
    ? [customerOf(account), COUNTERPARTS[kind]]
    : [COUNTERPARTS[kind], customerOf(account)];
  sql.exec(
    `INSERT INTO journal (id, kind, at, recorded, debit, credit, amount, note)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    id,
    kind,
    at,
    now,
    debit,
    credit,
    nano(Math.abs(amount)),
    note,
  );
  return true;
}

/** What the customer has left; below zero: what the customer owes. */
export function balanceOf(sql: SqlStorage, account: string): Nano {
  const [row] = sql
    .exec<{ debits: number; credits: number }>(
      "SELECT debits, credits FROM balances WHERE account = ?",
      customerOf(account),
    )
    .toArray();
  return row === undefined ? 0 : subtract(row.credits, row.debits);
}

/** What the customer had left just before this moment, from the journal. */
export function balanceAt(sql: SqlStorage, at: number): Nano {
  const { balance } = sql
    .exec<{ balance: number }>(
      `SELECT COALESCE(SUM(iif(credit LIKE 'customer/%', amount, -amount)), 0) AS balance
       FROM journal WHERE at < ?`,
      at,
    )
    .one();
  return nano(balance);
}

/** Everything that is not metered, one by one. */
export function entriesIn(sql: SqlStorage, from: number, to: number): BookedEntry[] {
  return sql
    .exec<{
      seq: number;
      id: string;
      kind: EntryKind;
      at: number;
      recorded: number;
      amount: number;
      note: string;
    }>(
      `SELECT seq, id, kind, at, recorded, note,
         iif(credit LIKE 'customer/%', amount, -amount) AS amount
       FROM journal WHERE at >= ? AND at < ? AND kind IN ('credit', 'refund', 'adjustment')
       ORDER BY at, seq`,
      from,
      to,
    )
    .toArray();
}

/** Sums by kind, in the customer's favour when above zero. */
export function totalsIn(sql: SqlStorage, from: number, to: number): Record<EntryKind, Nano> {
  const totals: Record<EntryKind, Nano> = {
    usage: 0,
    allowance: 0,
    volume: 0,
    repeat: 0,
    credit: 0,
    refund: 0,
    adjustment: 0,
  };
  const rows = sql.exec<{ kind: EntryKind; total: number }>(
    `SELECT kind, SUM(iif(credit LIKE 'customer/%', amount, -amount)) AS total
     FROM journal WHERE at >= ? AND at < ? GROUP BY kind`,
    from,
    to,
  );
  for (const { kind, total } of rows) totals[kind] = nano(total);
  return totals;
}
