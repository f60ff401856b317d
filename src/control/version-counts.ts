import type { RequestEvent, UsageEvent } from "../billing/usage-event.ts";
import type { VersionCounts } from "../telemetry/statistics.ts";

const TABLE = `
  CREATE TABLE IF NOT EXISTS version_counts (
    version INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    succeeded_ns INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    failed_ns INTEGER NOT NULL
  )`;

const ADD = `
  INSERT INTO version_counts (version, first, last, succeeded, succeeded_ns, failed, failed_ns)
  VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (version) DO UPDATE SET
    first = min(first, excluded.first),
    last = max(last, excluded.last),
    succeeded = succeeded + excluded.succeeded,
    succeeded_ns = succeeded_ns + excluded.succeeded_ns,
    failed = failed + excluded.failed,
    failed_ns = failed_ns + excluded.failed_ns`;

const NS_PER_MS = 1_000_000;

interface Row extends Record<string, SqlStorageValue> {
  version: number;
  first: number;
  last: number;
  succeeded: number;
  succeeded_ns: number;
  failed: number;
  failed_ns: number;
}

/** Ids that are remembered: a message that comes twice comes soon. Some 3 MB. */
const MAX_RECENT = 20_000;

/**
 * The requests of one model, a row of sums for each version: in the SQLite of the model's Durable Object.
 *
 * The ids of what was counted stay in memory only: rows for them would cost more than everything else that is
 * written for a request. So what comes again after the object has left memory, or after 20,000 newer requests of the
 * model, counts twice, which statistics bear and bills would not.
 */
export class SqlVersionCounts {
  readonly #sql: SqlStorage;
  /** In the order in which they came. */
  readonly #recent = new Set<string>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(TABLE);
  }

  /** Adds requests, each id once as far as it is remembered; shadows are nobody's. */
  add(events: readonly UsageEvent[]): void {
    const unique = new Map(events.map((event) => [event.id, event]));
    const requests = [...unique.values()]
      .filter((event) => event.kind === "request")
      .filter(({ id }) => !this.#recent.has(id));
    for (const [version, group] of Map.groupBy(requests, (event) => event.version)) {
      const [succeeded, failed] = [true, false].map((isGood) =>
        group.filter(({ outcome }) => (outcome === "ok") === isGood),
      );
      const times = group.map(({ at }) => Math.round(at));
      this.#sql.exec(
        ADD,
        version,
        Math.min(...times),
        Math.max(...times),
        succeeded?.length ?? 0,
        nanoseconds(succeeded),
        failed?.length ?? 0,
        nanoseconds(failed),
      );
    }
    this.#remember(requests);
  }

  #remember(events: readonly UsageEvent[]): void {
    for (const { id } of events) this.#recent.add(id);
    for (const id of this.#recent) {
      if (this.#recent.size <= MAX_RECENT) return;
      this.#recent.delete(id);
    }
  }

  list(): VersionCounts[] {
    return this.#sql
      .exec<Row>("SELECT * FROM version_counts ORDER BY version")
      .toArray()
      .map((row) => ({
        version: row.version,
        first: row.first,
        last: row.last,
        success: { count: row.succeeded, ns: row.succeeded_ns },
        fail: { count: row.failed, ns: row.failed_ns },
      }));
  }
}

function nanoseconds(events: readonly RequestEvent[] = []): number {
  return Math.round(events.reduce((sum, { milliseconds }) => sum + milliseconds * NS_PER_MS, 0));
}
