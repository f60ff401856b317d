import type { Nano } from "../money.ts";
import type { Units } from "../price.ts";

/** An event as it is in the books. */
export interface BilledEvent {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly requestId: string;
  readonly model: string;
  readonly version: number;
  readonly placement: string;
  readonly key: string;
  readonly price: string;
  readonly units: Units;
  /** The list price, and what was taken off it. */
  readonly amount: Nano;
  readonly allowance: Nano;
  readonly volume: Nano;
  readonly repeated: Nano;
  /** SHA-256 of its receipt, in hex; empty where there is none. */
  readonly receipt: string;
}

type Row = Omit<BilledEvent, "units"> & { units: string } & Record<string, SqlStorageValue>;

/** Undefined when there is none, or when it is in a file by now. */
export function billedEvent(sql: SqlStorage, id: string): BilledEvent | undefined {
  const [row] = sql
    .exec<Row>(
      `SELECT id, at, request AS requestId, model, version, placement, key, price, units, amount,
         allowance, volume, repeated, receipt FROM events WHERE id = ?`,
      id,
    )
    .toArray();
  return row && { ...row, units: JSON.parse(row.units) as Record<string, number> };
}
