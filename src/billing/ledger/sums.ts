import { type Nano, add } from "../money.ts";
import type { Units } from "../price.ts";

/** What requests of the same model, version, key and placement come to. */
export interface UsageSum {
  readonly model: string;
  readonly version: number;
  readonly key: string;
  readonly placement: string;
  requests: number;
  units: Record<string, number>;
  /** The list prices. */
  amount: Nano;
  /** What is taken off: free units, tiers, and requests that an Idempotency-Key had billed before. */
  allowance: Nano;
  volume: Nano;
  repeated: Nano;
}

export interface PeriodSum extends UsageSum {
  readonly period: string;
}

interface SumRow extends Record<string, SqlStorageValue> {
  period: string;
  model: string;
  version: number;
  key: string;
  placement: string;
  requests: number;
  units: string;
  amount: number;
  allowance: number;
  volume: number;
  repeated: number;
}

export type SumTable = "hours" | "days";

export const lineKey = ({
  model,
  version,
  key,
  placement,
}: Pick<UsageSum, "model" | "version" | "key" | "placement">): string =>
  JSON.stringify([model, version, key, placement]);

export function addUnits(to: Record<string, number>, units: Units): void {
  for (const [unit, count] of Object.entries(units)) to[unit] = add(to[unit] ?? 0, count);
}

/** Adds what is beside it to a sum. */
export function addSum(to: UsageSum, more: UsageSum): void {
  to.requests += more.requests;
  to.amount = add(to.amount, more.amount);
  to.allowance = add(to.allowance, more.allowance);
  to.volume = add(to.volume, more.volume);
  to.repeated = add(to.repeated, more.repeated);
  addUnits(to.units, more.units);
}

/** Sums by period and line, while they are gathered. */
export class Sums {
  readonly #sums = new Map<string, PeriodSum>();

  add(period: string, more: UsageSum): void {
    const key = `${period} ${lineKey(more)}`;
    const sum = this.#sums.get(key);
    if (sum === undefined) this.#sums.set(key, { period, ...more, units: { ...more.units } });
    else addSum(sum, more);
  }

  all(): PeriodSum[] {
    return [...this.#sums.values()];
  }
}

/** Adds sums to what the table has of the same period and line. */
export function saveSums(sql: SqlStorage, table: SumTable, sums: Sums): void {
  for (const sum of sums.all()) {
    const { period, model, version, key, placement } = sum;
    const [known] = sql
      .exec<SumRow>(
        `SELECT * FROM ${table}
         WHERE period = ? AND model = ? AND version = ? AND key = ? AND placement = ?`,
        period,
        model,
        version,
        key,
        placement,
      )
      .toArray();
    if (known !== undefined) addSum(sum, sumOf(known));
    sql.exec(
      `INSERT OR REPLACE INTO ${table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      period,
      model,
      version,
      key,
      placement,
      sum.requests,
      JSON.stringify(sum.units),
      sum.amount,
      sum.allowance,
      sum.volume,
      sum.repeated,
    );
  }
}

/** The sums of all periods from one key up to, and without, another. */
export function readSums(sql: SqlStorage, table: SumTable, from: string, to: string): PeriodSum[] {
  return sql
    .exec<SumRow>(
      `SELECT * FROM ${table} WHERE period >= ? AND period < ?
       ORDER BY period, model, version, key, placement`,
      from,
      to,
    )
    .toArray()
    .map(sumOf);
}

function sumOf(row: SumRow): PeriodSum {
  return { ...row, units: JSON.parse(row.units) as Record<string, number> };
}
