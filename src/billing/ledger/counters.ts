import { type Nano, add } from "../money.ts";
import { dayOf, monthOf } from "../periods.ts";
import type { Units } from "../price.ts";
import { addUnits } from "./sums.ts";

/** The whole account; a token's subject is `token/` and its id. */
export const ACCOUNT = "account";
export const tokenSubject = (token: string): string => `token/${token}`;
const TOKEN_PERIOD = "life";

/** Units of a month by scope of price: read once, written once a batch. */
export class MonthUnits {
  readonly #sql: SqlStorage;
  readonly #before = new Map<string, Record<string, number>>();
  readonly #added = new Map<string, { month: string; scope: string; units: Units }>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  soFar(month: string, scope: string): Units {
    const key = `${month} ${scope}`;
    const known = this.#before.get(key);
    if (known !== undefined) return known;
    const rows = this.#sql.exec<{ unit: string; count: number }>(
      "SELECT unit, count FROM month_units WHERE month = ? AND scope = ?",
      month,
      scope,
    );
    const units: Record<string, number> = {};
    for (const { unit, count } of rows) units[unit] = count;
    this.#before.set(key, units);
    return units;
  }

  add(month: string, scope: string, units: Units): void {
    const key = `${month} ${scope}`;
    const sum: Record<string, number> = { ...this.soFar(month, scope) };
    addUnits(sum, units);
    this.#before.set(key, sum);
    this.#added.set(key, { month, scope, units: sum });
  }

  save(): void {
    for (const { month, scope, units } of this.#added.values()) {
      for (const [unit, count] of Object.entries(units)) {
        this.#sql.exec(
          "INSERT OR REPLACE INTO month_units VALUES (?, ?, ?, ?)",
          month,
          scope,
          unit,
          count,
        );
      }
    }
  }
}

/** What was spent, by subject and period, while a batch is recorded. */
export class Spending {
  readonly #added = new Map<
    string,
    { subject: string; period: string; amount: Nano; last: number }
  >();

  add(at: number, token: string, amount: Nano): void {
    this.#add(ACCOUNT, dayOf(at), amount, at);
    this.#add(ACCOUNT, monthOf(at), amount, at);
    if (token !== "") this.#add(tokenSubject(token), TOKEN_PERIOD, amount, at);
  }

  save(sql: SqlStorage): void {
    for (const { subject, period, amount, last } of this.#added.values()) {
      sql.exec(
        `INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT (subject, period)
         DO UPDATE SET amount = amount + excluded.amount, last = MAX(last, excluded.last)`,
        subject,
        period,
        amount,
        last,
      );
    }
  }

  #add(subject: string, period: string, amount: Nano, at: number): void {
    const key = `${subject} ${period}`;
    const sum = this.#added.get(key);
    if (sum === undefined) {
      this.#added.set(key, { subject, period, amount, last: at });
      return;
    }
    sum.amount = add(sum.amount, amount);
    sum.last = Math.max(sum.last, at);
  }
}

/** What a subject has spent in a period, after discounts. */
export function spentIn(sql: SqlStorage, subject: string, period: string = TOKEN_PERIOD): Nano {
  const [row] = sql
    .exec<{ amount: number }>(
      "SELECT amount FROM spent WHERE subject = ? AND period = ?",
      subject,
      period,
    )
    .toArray();
  return row?.amount ?? 0;
}
