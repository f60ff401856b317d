import * as v from "valibot";

import { type PeriodSum, type UsageSum, addSum } from "./ledger/sums.ts";
import { endOf, periodOf, startOf } from "./periods.ts";

/** What usage can be summed up by. */
export const USAGE_COLUMNS = ["day", "model", "version", "key", "placement"] as const;
export type UsageColumn = (typeof USAGE_COLUMNS)[number];

const ByText = v.pipe(
  v.string(),
  v.transform((text) => [...new Set(text.split(",").map((part) => part.trim()))]),
  v.array(v.picklist(USAGE_COLUMNS, `must be some of ${USAGE_COLUMNS.join(", ")}`)),
);

/** `2026`, `2026-11`, `2026-11-24`, `2026-11-24T22`, or a full hour as an ISO time. */
const TimeText = v.pipe(
  v.string(),
  v.check(
    (text) => momentOf(text) !== undefined,
    "must be a year, month, day or full hour of UTC: 2026-11, 2026-11-24, 2026-11-24T22:00:00Z",
  ),
);

/** From one moment up to another; the month so far when absent. */
export const PERIOD_WORDS = { from: v.optional(TimeText), to: v.optional(TimeText) };

/** The query of `GET /v1/usage`, as texts. */
export const UsageQuery = v.strictObject({
  ...PERIOD_WORDS,
  by: v.optional(ByText, "day,model,version"),
});

/** Amounts are list prices; what is taken off them stands beside them. */
export interface UsageRow extends Partial<
  Pick<UsageSum, "model" | "version" | "key" | "placement">
> {
  readonly day?: string;
  readonly requests: number;
  readonly units: Readonly<Record<string, number>>;
  readonly amount: number;
  readonly allowance: number;
  readonly volume: number;
  readonly repeated: number;
}

export interface UsageRows {
  /** ISO times; `to` is not in it any more. */
  readonly from: string;
  readonly to: string;
  readonly by: readonly UsageColumn[];
  readonly rows: readonly UsageRow[];
}

/** The period that a query names: the month that `now` is in when it names none. */
export function periodIn(
  { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
  now: number,
): { readonly from: number; readonly to: number } {
  const first = from === undefined ? startOf("month", now) : (momentOf(from) ?? 0);
  const named = from !== undefined && to === undefined ? periodOf(from)?.to : undefined;
  const last = to === undefined ? (named ?? endOf("month", now)) : (momentOf(to) ?? 0);
  return { from: first, to: last };
}

/** Sums by period and line, summed up by the columns that were asked for. */
export function usageRows(
  sums: readonly PeriodSum[],
  by: readonly UsageColumn[],
  period: { readonly from: number; readonly to: number },
): UsageRows {
  const rows = new Map<string, { name: Partial<UsageRow>; sum: UsageSum }>();
  for (const { period: key, ...sum } of sums) {
    const known = { ...sum, day: key.slice(0, 10) };
    const name = Object.fromEntries(by.map((column) => [column, known[column]]));
    const id = JSON.stringify(name);
    const row = rows.get(id);
    if (row === undefined) rows.set(id, { name, sum: { ...sum, units: { ...sum.units } } });
    else addSum(row.sum, sum);
  }
  return {
    from: new Date(period.from).toISOString(),
    to: new Date(period.to).toISOString(),
    by,
    rows: [...rows.values()].map(({ name, sum }) => {
      const { requests, units, amount, allowance, volume, repeated } = sum;
      return { ...name, requests, units, amount, allowance, volume, repeated };
    }),
  };
}

function momentOf(text: string): number | undefined {
  const named = periodOf(text);
  if (named !== undefined) return named.from;
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text)) {
    return undefined;
  }
  const time = Date.parse(text);
  return Number.isNaN(time) || time % 3_600_000 !== 0 ? undefined : time;
}
