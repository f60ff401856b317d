import type { Ledger } from "../../billing/ledger.ts";
import { NANO_PER_DOLLAR, add, toDollars } from "../../billing/money.ts";
import type { Entered, ManualEntryRequest } from "./account-books.ts";

/** An entry can't be taken back, and sums end at nine million: more than this is a slip, or said with force. */
const MAX_ENTRY = 1_000_000 * NANO_PER_DOLLAR;

interface Row extends Record<string, SqlStorageValue> {
  amount: number;
  note: string;
}

/**
 * Makes an entry of the journal under an id, once.
 *
 * @throws RangeError when the id was used for something else; MoneyError for what can't be counted
 */
export function enterOnce(
  sql: SqlStorage,
  ledger: Ledger,
  { kind, id, amountNano, note, force = false }: ManualEntryRequest,
  dryRun: boolean,
): Entered {
  const known = find(sql, `${kind}:${id}`);
  if (known !== undefined && (known.amount !== amountNano || known.note !== note)) {
    throw new RangeError(`The id "${id}" was used for another ${kind}; an entry is never changed.`);
  }
  const { balance } = ledger.standing();
  if (known !== undefined) return { id, entered: false, balance };
  if (Math.abs(amountNano) > MAX_ENTRY && !force) {
    throw new RangeError(
      `${toDollars(amountNano)} dollars are very much: send force=true if they are meant.`,
    );
  }
  refuseUncountable(sql, amountNano);
  if (dryRun) return { id, entered: false, balance: add(balance, amountNano) };
  const entered = ledger.enter(kind, { id, amount: amountNano, note });
  return { id, entered, balance: ledger.standing().balance };
}

/** Both sides of every account are sums that must stay countable. @throws MoneyError */
function refuseUncountable(sql: SqlStorage, amount: number): void {
  const { most } = sql
    .exec<{ most: number }>("SELECT COALESCE(MAX(MAX(debits, credits)), 0) AS most FROM balances")
    .one();
  add(most, Math.abs(amount));
}

/** In the customer's favour when above zero. */
function find(sql: SqlStorage, id: string): Row | undefined {
  const [row] = sql
    .exec<Row>(
      `SELECT iif(credit LIKE 'customer/%', amount, -amount) AS amount, note
       FROM journal WHERE id = ?`,
      id,
    )
    .toArray();
  return row;
}
