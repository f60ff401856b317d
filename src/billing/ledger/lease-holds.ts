import { type Nano, nano } from "../money.ts";
import type { ReturnedLease } from "./leases.ts";

/**
 * What a lease has left that its isolate never told of is held back for so long after its end: its events may
 * still be on their way. Where an isolate told what it had left of a lease in the end, all else of it is known
 * to be spent, and held back until its events come (`SETTLED_HOLD_SECONDS` at most). While events of the
 * account come later than this, what was never told of is held back as long.
 *
 * So an account spends more than it has, or than its limit, by no more than four things: leases of isolates
 * that ended without a word while the queue stood still, from before the first late event; events later than
 * a day; what requests cost above their estimates; and what isolates admit while they can't reach the ledger
 * (`graceNano` of each, an hour). Without them it is nothing.
 */
export const LEASE_GRACE_SECONDS = 120;

/** What is known to be spent waits for its events no longer: they may have been lost with an isolate. */
export const SETTLED_HOLD_SECONDS = 86_400;

/** The queue is late until no event has come late for so long. */
const LATE_QUEUE_MS = 10 * 60_000;
const LATE_NAME = "late_until";

/**
 * As in the index `leases_open`, so that leases that are used up cost nothing. The moments are those before
 * which leases are released that were never told of, and those that were.
 */
const OPEN = `leases WHERE credit > returned + drawn
  AND ((settled = 0 AND expires > ?1) OR (settled = 1 AND expires > ?2))`;
const OUTSTANDING = `SELECT COALESCE(SUM(credit - returned - drawn), 0) AS outstanding FROM ${OPEN}`;

/**
 * What an isolate reports as unspent is free at once; what it had spent waits for its events. A lease may be
 * reported again when it is settled: what its last requests did not need is free then, too.
 */
export function returnLease(
  sql: SqlStorage,
  { id, unspent, isSettled = false }: ReturnedLease,
): void {
  const settled = isSettled ? 1 : 0;
  sql.exec(
    `UPDATE leases SET returned = MIN(MAX(?1, returned), MAX(0, credit - drawn)), settled = ?2
     WHERE id = ?3 AND settled = 0 AND (returned = 0 OR ?2 = 1)`,
    Math.max(0, nano(unspent)),
    settled,
    id,
  );
}

/** Events of a lease have come that others may count on no more. To be called before they are drawn. */
export function noteLateness(sql: SqlStorage, leases: Iterable<string>, now: number): void {
  for (const lease of leases) {
    const [row] = sql
      .exec<{ expires: number }>("SELECT expires FROM leases WHERE id = ?", lease)
      .toArray();
    if (row === undefined || now - row.expires < LEASE_GRACE_SECONDS * 1_000) continue;
    sql.exec(
      `INSERT INTO settings VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      LATE_NAME,
      String(now + LATE_QUEUE_MS),
    );
    return;
  }
}

/** What isolates hold or may have spent, of the account or of one token. */
export function outstandingOf(sql: SqlStorage, now: number, token?: string): Nano {
  const released = releasedBefore(sql, now);
  const cursor =
    token === undefined
      ? sql.exec<{ outstanding: number }>(OUTSTANDING, ...released)
      : sql.exec<{ outstanding: number }>(`${OUTSTANDING} AND token = ?3`, ...released, token);
  return nano(cursor.one().outstanding);
}

/** Leases that ended before these moments are released: never told of, and known to be spent. */
function releasedBefore(sql: SqlStorage, now: number): [number, number] {
  const known = now - SETTLED_HOLD_SECONDS * 1_000;
  const [row] = sql
    .exec<{ value: string }>("SELECT value FROM settings WHERE name = ?", LATE_NAME)
    .toArray();
  const isLate = row !== undefined && Number(row.value) > now;
  return [isLate ? known : now - LEASE_GRACE_SECONDS * 1_000, known];
}

/** When the first ends of the leases that are held back and not settled: something of it may come back. */
export function firstHeldEnd(sql: SqlStorage, now: number): number | undefined {
  const { expires } = sql
    .exec<{ expires: number | null }>(
      `SELECT MIN(expires) AS expires FROM ${OPEN} AND settled = 0`,
      ...releasedBefore(sql, now),
    )
    .one();
  return expires ?? undefined;
}
