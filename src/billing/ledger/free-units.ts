import type { Nano } from "../money.ts";
import { monthOf } from "../periods.ts";
import { type Price, scopeOf } from "../price.ts";
import { MonthUnits } from "./counters.ts";

/**
 * What the units are worth that are still free this month, at list prices. A prepaid account may use so much
 * without credit: its events cost the list price first, and the allowance is taken off when they are recorded.
 *
 * A lease is for whatever the account asks, so what it spends on other models is owed: never more than this.
 */
export function freeValueOf(sql: SqlStorage, prices: readonly Price[], now: number): Nano {
  const units = new MonthUnits(sql);
  const month = monthOf(now);
  let value = 0;
  for (const price of currentPrices(prices, now)) {
    const used = units.soFar(month, scopeOf(price));
    for (const [unit, free] of Object.entries(price.free ?? {})) {
      const left = Math.max(0, free - (used[unit] ?? 0));
      value = Math.min(value + left * (price.perUnit[unit] ?? 0), Number.MAX_SAFE_INTEGER);
    }
  }
  return value;
}

/** What there is with it, as far as money can be counted. */
export function plusFree(balance: Nano, free: Nano): Nano {
  return Math.min(balance + free, Number.MAX_SAFE_INTEGER);
}

/** Of each scope the price that is in effect: those of the future and those that were replaced are not. */
function currentPrices(prices: readonly Price[], now: number): Price[] {
  const current = new Map<string, Price>();
  for (const price of prices) {
    const from = Date.parse(price.from);
    const known = current.get(scopeOf(price));
    if (from > now || (known !== undefined && Date.parse(known.from) > from)) continue;
    current.set(scopeOf(price), price);
  }
  return [...current.values()];
}
