import * as v from "valibot";

import { NanoAmount } from "../money.ts";

/** What an account and its ledger have agreed on. */
export const Terms = v.strictObject({
  /** `acc_…` */
  account: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/)),
  /** Prepaid spends its credit; postpaid spends up to its limits, without any up to what money can count. */
  funding: v.picklist(["prepaid", "postpaid"]),
  /** Of what is spent in a day or month of UTC, after discounts. */
  limits: v.strictObject({ day: v.optional(NanoAmount), month: v.optional(NanoAmount) }),
  suspended: v.boolean(),
  /** Where each event goes besides: the outbox has a row for each. */
  exports: v.array(v.string()),
});
export type Terms = v.InferOutput<typeof Terms>;

const NAME = "terms";

export function readTerms(sql: SqlStorage): Terms | undefined {
  const [row] = sql
    .exec<{ value: string }>("SELECT value FROM settings WHERE name = ?", NAME)
    .toArray();
  return row && v.parse(Terms, JSON.parse(row.value));
}

export function writeTerms(sql: SqlStorage, terms: Terms): void {
  sql.exec(
    "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    NAME,
    JSON.stringify(v.parse(Terms, terms)),
  );
}
