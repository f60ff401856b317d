import { MoneyError, type Nano, fromDollars, toDollars } from "../../billing/money.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Reads dollars, such as `12.50`, without a float in between.
 *
 * @param place as in the usage: `<dollars>`, `--day-limit`
 * @throws UsageError for what is no amount, or too large a one
 */
export function dollars(place: string, text: string): Nano {
  try {
    return fromDollars(text);
  } catch (error) {
    if (!(error instanceof MoneyError)) throw error;
    const why =
      error.code === "amount_overflow"
        ? "which is more than can be counted"
        : "which is not dollars with at most nine decimals, such as 12.50";
    throw new UsageError(`${place} is "${text}", ${why}.`);
  }
}

/** The same, for what can't be below zero. @throws UsageError */
export function cost(place: string, text: string): Nano {
  const amount = dollars(place, text);
  if (amount >= 0) return amount;
  throw new UsageError(`${place} is "${text}", and can't be below zero.`);
}

/** `$12.50`, exactly: as many decimals as it takes. */
export function dollarsText(amount: Nano): string {
  return amount < 0 ? `-$${toDollars(amount).slice(1)}` : `$${toDollars(amount)}`;
}
