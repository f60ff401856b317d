import { dayOf, monthOf, periodOf } from "../../billing/periods.ts";
import type { OptionValue } from "./command.ts";
import { UsageError } from "./usage-error.ts";

/** Two ISO times; `to` is not in it any more. */
export type Span = Readonly<{ from: string; to: string }>;

/**
 * What `--from` and `--to` mean: keys of periods of UTC, both inclusive. The month that is running where
 * there is neither.
 *
 * @throws UsageError
 */
export function spanOf(from: OptionValue, to: OptionValue, now = Date.now()): Span {
  const start = period("from", from) ?? periodOf(monthOf(now));
  const end = period("to", to) ?? periodOf(dayOf(now));
  if (start === undefined || end === undefined) throw new RangeError("Now is no time.");
  if (start.from >= end.to) throw new UsageError("--from is later than --to.");
  return iso(start.from, end.to);
}

/** A month such as `2026-11`; the running one when absent. @throws UsageError */
export function monthSpan(month: OptionValue, now = Date.now()): Span {
  const key = typeof month === "string" ? month : monthOf(now);
  const found = key.length === 7 ? periodOf(key) : undefined;
  if (found === undefined) {
    throw new UsageError(`--month takes a month such as 2026-11, not "${key}".`);
  }
  return iso(found.from, found.to);
}

/** A day or a moment of UTC: `2027-01-01`, `2027-01-01T12:00:00Z`; undefined when it is none. */
export function timeOf(text: string): number | undefined {
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z)?$/.test(text);
  const at = isTime ? Date.parse(text) : NaN;
  // Date takes the 30th of February for the 2nd of March.
  const isReal = !Number.isNaN(at) && periodOf(text.slice(0, 10)) !== undefined;
  return isReal ? at : undefined;
}

function period(option: string, key: OptionValue) {
  if (typeof key !== "string") return undefined;
  const found = periodOf(key);
  if (found !== undefined) return found;
  throw new UsageError(
    `--${option} takes a month, a day or an hour of UTC, such as 2026-11, 2026-11-24 or 2026-11-24T22; not "${key}".`,
  );
}

const iso = (from: number, to: number): Span => ({
  from: new Date(from).toISOString(),
  to: new Date(to).toISOString(),
});
