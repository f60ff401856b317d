import type { RolloutState } from "./state.ts";
import type { ComparisonStats, RolloutStats } from "./stats.ts";
import type { RolloutStore, ShadowPair } from "./store.ts";

/** The tables of one model's Durable Object; `src/store/README.md` says what they hold. */
const TABLES = `
  CREATE TABLE IF NOT EXISTS rollouts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS stats (id TEXT PRIMARY KEY, stats TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS shadows (
    against INTEGER NOT NULL,
    version INTEGER NOT NULL,
    stats TEXT NOT NULL,
    PRIMARY KEY (against, version)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS seen_at ON seen (at);
`;

/** Rollouts in the SQLite of a Durable Object, whose writes of one call are one transaction. */
export class SqlRolloutStore implements RolloutStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(TABLES);
  }

  newest(limit: number): RolloutState[] {
    return this.#sql
      .exec<{ state: string }>("SELECT state FROM rollouts ORDER BY number DESC LIMIT ?", limit)
      .toArray()
      .map(({ state }) => JSON.parse(state) as RolloutState);
  }

  latest(): RolloutState | undefined {
    return this.newest(1)[0];
  }

  save(state: RolloutState): void {
    this.#sql.exec(
      "INSERT INTO rollouts (id, state) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
      state.id,
      JSON.stringify(state),
    );
  }

  remove(id: string): void {
    this.#sql.exec("DELETE FROM rollouts WHERE id = ?", id);
    this.#sql.exec("DELETE FROM stats WHERE id = ?", id);
  }

  stats(id: string): RolloutStats | undefined {
    const [row] = this.#sql
      .exec<{ stats: string }>("SELECT stats FROM stats WHERE id = ?", id)
      .toArray();
    return row && (JSON.parse(row.stats) as RolloutStats);
  }

  saveStats(id: string, stats: RolloutStats): void {
    this.#sql.exec(
      "INSERT INTO stats (id, stats) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET stats = excluded.stats",
      id,
      JSON.stringify(stats),
    );
  }

  /** Every event, once: the queue delivers at least once. @returns false when it was there already */
  isNew(eventId: string, at: number): boolean {
    const { rowsWritten } = this.#sql.exec(
      "INSERT INTO seen (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
      eventId,
      at,
    );
    if (rowsWritten > 0) return true;
    // It may come yet again: what can't be billed for hours is counted here each time.
    this.#sql.exec("UPDATE seen SET at = ? WHERE id = ?", at, eventId);
    return false;
  }

  /** @returns whether any are left */
  forgetEvents(before: number): boolean {
    this.#sql.exec("DELETE FROM seen WHERE at < ?", before);
    return this.#sql.exec("SELECT 1 FROM seen LIMIT 1").toArray().length > 0;
  }

  shadowPairs(): ShadowPair[] {
    return this.#sql
      .exec<{ against: number; version: number; stats: string }>(
        "SELECT against, version, stats FROM shadows ORDER BY against, version",
      )
      .toArray()
      .map(({ against, version, stats }) => ({
        against,
        version,
        ...(JSON.parse(stats) as ComparisonStats),
      }));
  }

  shadowPair(against: number, version: number): ComparisonStats | undefined {
    const [row] = this.#sql
      .exec<{ stats: string }>(
        "SELECT stats FROM shadows WHERE against = ? AND version = ?",
        against,
        version,
      )
      .toArray();
    return row && (JSON.parse(row.stats) as ComparisonStats);
  }

  saveShadowPair(against: number, version: number, stats: ComparisonStats): void {
    this.#sql.exec(
      "INSERT INTO shadows (against, version, stats) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET stats = excluded.stats",
      against,
      version,
      JSON.stringify(stats),
    );
  }
}
