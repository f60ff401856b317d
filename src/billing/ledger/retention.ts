import { DAY_MS, dayOf, hourOf, monthOf, monthsBefore, startOf } from "../periods.ts";
import { LedgerError } from "./errors.ts";

/** Events stay in the ledger for so long, then go into files. */
export const EVENT_DAYS = 35;
/** Hourly sums, and what counts a month's units and spending, stay for so long. Daily sums stay. */
export const HOUR_MONTHS = 13;
/** A lease is long over by then; its row is of use only to `verify`. */
const LEASE_DAYS = 2;

/** 4 MB of NDJSON or so: it is held in memory as a whole. */
export const FILE_EVENTS = 10_000;

/** The first moment whose events are not, and will not be for now, in a file. */
export function horizonOf(now: number): number {
  return startOf("day", now) - EVENT_DAYS * DAY_MS;
}

/** Events of one day that are to leave the ledger, in the order of their recording. */
export interface EventFile {
  /** `events/<account>/<day>/<first>-<last>.ndjson` */
  readonly name: string;
  readonly day: string;
  readonly first: number;
  readonly last: number;
  readonly events: number;
  /** NDJSON: an object a line, with a line feed after each. */
  readonly body: string;
}

interface StoredEvent extends Record<string, SqlStorageValue> {
  seq: number;
  units: string;
}

/**
 * The next file to store; undefined when nothing is old enough. Days that old take no more events, so it is
 * the same file, byte for byte, until it is confirmed: storing it twice does no harm.
 */
export function nextFile(
  sql: SqlStorage,
  account: string,
  now: number,
  limit: number,
): EventFile | undefined {
  const [oldest] = sql
    .exec<{ day: string }>(
      "SELECT day FROM events WHERE day < ? ORDER BY day LIMIT 1",
      dayOf(horizonOf(now)),
    )
    .toArray();
  if (oldest === undefined) return undefined;
  const { day } = oldest;
  const rows = sql
    .exec<StoredEvent>("SELECT * FROM events WHERE day = ? ORDER BY seq LIMIT ?", day, limit)
    .toArray();
  const first = rows[0]?.seq ?? 0;
  const last = rows.at(-1)?.seq ?? 0;
  const lines = rows.map(
    (row) => `${JSON.stringify({ ...row, units: JSON.parse(row.units) as unknown })}\n`,
  );
  return {
    name: `events/${account}/${day}/${first}-${last}.ndjson`,
    day,
    first,
    last,
    events: rows.length,
    body: lines.join(""),
  };
}

/** The file is stored: its events leave the ledger. Saying so twice does no harm. */
export function confirmFile(
  sql: SqlStorage,
  { name, day, first, last, events }: Omit<EventFile, "body">,
  now: number,
): void {
  if (sql.exec("SELECT 1 FROM files WHERE name = ?", name).toArray().length > 0) return;
  const { counted } = sql
    .exec<{ counted: number }>(
      "SELECT COUNT(*) AS counted FROM events WHERE day = ? AND seq BETWEEN ? AND ?",
      day,
      first,
      last,
    )
    .one();
  if (counted !== events || day >= dayOf(horizonOf(now))) {
    throw new LedgerError("file_unknown", `The ledger did not hand out the file ${name}.`);
  }
  sql.exec(
    `INSERT INTO files SELECT ?, day, ?, ?, COUNT(*), SUM(amount), SUM(allowance), SUM(volume),
       SUM(repeated) FROM events WHERE day = ? AND seq BETWEEN ? AND ?`,
    name,
    first,
    last,
    day,
    first,
    last,
  );
  sql.exec("DELETE FROM events WHERE day = ? AND seq BETWEEN ? AND ?", day, first, last);
}

/** Forgets what nobody will ask for. The journal and the daily sums are for ever. */
export function prune(sql: SqlStorage, now: number): void {
  const months = monthsBefore(now, HOUR_MONTHS);
  sql.exec("DELETE FROM hours WHERE period < ?", hourOf(months));
  sql.exec("DELETE FROM month_units WHERE month < ?", monthOf(months));
  sql.exec("DELETE FROM spent WHERE subject = 'account' AND period < ?", monthOf(months));
  sql.exec("DELETE FROM spent WHERE subject <> 'account' AND last < ?", horizonOf(now));
  sql.exec("DELETE FROM leases WHERE expires < ?", now - LEASE_DAYS * DAY_MS);
}
