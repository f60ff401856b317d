import { joined } from "../bytes.ts";
import { DAY_MS } from "./periods.ts";

/** How long a key belongs to one request, and its answer is kept: from when the first one began. */
export const ANSWER_KEPT_MS = DAY_MS;
/** A request that runs longer was lost with its isolate: the next one may run. */
export const RUNNING_MS = 60_000;
/** Longer answers are not kept: a retry runs again, and the ledger bills it once all the same. */
export const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
/** All answers of an account together: the oldest make room for new ones. */
export const MAX_KEPT_BYTES = 64 * 1024 * 1024;
/** A row of SQLite in a Durable Object has 2 MB at most. */
const PART_BYTES = 1024 * 1024;

/** What was answered to the first request with an Idempotency-Key. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export type Begun =
  /** To be answered by whoever hears it; `begunAt` is when the first request with this key began. */
  | { readonly state: "new"; readonly token: string; readonly begunAt: number }
  | { readonly state: "running" }
  | { readonly state: "other_body" }
  | ({ readonly state: "done" } & Answer);

interface Row extends Record<string, SqlStorageValue> {
  digest: string;
  state: "running" | "done" | "dropped";
  token: string;
  begun: number;
  started: number;
  runs: number;
  status: number;
  headers: string;
  expires: number;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS idempotency (
    hash TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'dropped')),
    token TEXT NOT NULL,
    begun INTEGER NOT NULL,
    started INTEGER NOT NULL,
    runs INTEGER NOT NULL DEFAULT 1,
    bytes INTEGER NOT NULL DEFAULT 0,
    status INTEGER NOT NULL DEFAULT 0,
    headers TEXT NOT NULL DEFAULT '{}',
    expires INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS idempotency_expires ON idempotency (expires);
  CREATE INDEX IF NOT EXISTS idempotency_kept ON idempotency (begun DESC, hash, bytes)
    WHERE bytes > 0;
  CREATE TABLE IF NOT EXISTS idempotency_parts (
    hash TEXT NOT NULL,
    part INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (hash, part)
  ) STRICT;
`;

/**
 * First answers by Idempotency-Key, for a day. Keys come as hashes, bodies as digests: what a caller sent is
 * kept nowhere, what was answered is. A key stays with the body that it came with first, also when that
 * answer is not kept or its request was lost: it may have been billed, so another body may not go free.
 */
export class IdempotencyStore {
  readonly #storage: Pick<DurableObjectStorage, "sql" | "transactionSync">;
  readonly #now: () => number;
  readonly #newToken: () => string;

  constructor(
    storage: Pick<DurableObjectStorage, "sql" | "transactionSync">,
    now: () => number,
    newToken: () => string = () => crypto.randomUUID(),
  ) {
    this.#storage = storage;
    this.#now = now;
    this.#newToken = newToken;
    storage.sql.exec(TABLES);
  }

  /** `new` is said to one caller alone: whoever hears it answers, and calls `finish` with its token. */
  begin(hash: string, digest: string): Begun {
    return this.#storage.transactionSync(() => {
      const now = this.#now();
      const row = this.#find(hash);
      if (row === undefined || row.expires <= now) return this.#first(hash, digest, now);
      if (row.digest !== digest) return { state: "other_body" };
      if (row.state === "done") {
        const headers = JSON.parse(row.headers) as Record<string, string>;
        return { state: "done", status: row.status, headers, body: this.#body(hash) };
      }
      const isRunning = row.state === "running" && now - row.started < RUNNING_MS;
      return isRunning ? { state: "running" } : this.#again(hash, row, now);
    });
  }

  /**
   * Keeps the answer of the request that has this token; without one the request failed, and may run again.
   * A token that is not the last one's is of a request that was given up: it is not heard.
   */
  finish(hash: string, token: string, answer?: Answer): void {
    this.#storage.transactionSync(() => {
      const row = this.#find(hash);
      if (row === undefined || row.state !== "running" || row.token !== token) return;
      if (answer === undefined && row.runs === 1) {
        this.#remove(hash);
      } else if (answer === undefined || answer.body.length > MAX_ANSWER_BYTES) {
        this.#drop(hash);
      } else {
        this.#keep(hash, answer);
        this.#makeRoom();
      }
    });
  }

  /** When something is to be forgotten. */
  nextAt(): number | undefined {
    const [row] = this.#storage.sql
      .exec<{ expires: number }>("SELECT expires FROM idempotency ORDER BY expires LIMIT 1")
      .toArray();
    return row?.expires;
  }

  forgetExpired(): void {
    const rows = this.#storage.sql
      .exec<{ hash: string }>("SELECT hash FROM idempotency WHERE expires <= ?", this.#now())
      .toArray();
    for (const { hash } of rows) this.#storage.transactionSync(() => this.#remove(hash));
  }

  #first(hash: string, digest: string, now: number): Begun {
    this.#remove(hash);
    const token = this.#newToken();
    this.#storage.sql.exec(
      `INSERT INTO idempotency (hash, digest, state, token, begun, started, expires)
       VALUES (?, ?, 'running', ?, ?, ?, ?)`,
      hash,
      digest,
      token,
      now,
      now,
      now + ANSWER_KEPT_MS,
    );
    return { state: "new", token, begunAt: now };
  }

  #again(hash: string, { begun }: Row, now: number): Begun {
    const token = this.#newToken();
    this.#storage.sql.exec(
      `UPDATE idempotency SET state = 'running', token = ?, started = ?, runs = runs + 1
       WHERE hash = ?`,
      token,
      now,
      hash,
    );
    return { state: "new", token, begunAt: begun };
  }

  #keep(hash: string, { status, headers, body }: Answer): void {
    const { sql } = this.#storage;
    for (let part = 0; part * PART_BYTES < body.length; part++) {
      const bytes = body.slice(part * PART_BYTES, (part + 1) * PART_BYTES);
      sql.exec("INSERT INTO idempotency_parts VALUES (?, ?, ?)", hash, part, bytes.buffer);
    }
    sql.exec(
      "UPDATE idempotency SET state = 'done', status = ?, headers = ?, bytes = ? WHERE hash = ?",
      status,
      JSON.stringify(headers),
      body.length,
      hash,
    );
  }

  #makeRoom(): void {
    const rows = this.#storage.sql.exec<{ hash: string }>(
      `SELECT hash FROM (
         SELECT hash, SUM(bytes) OVER (ORDER BY begun DESC, hash) AS kept FROM idempotency
         WHERE bytes > 0)
       WHERE kept > ?`,
      MAX_KEPT_BYTES,
    );
    for (const { hash } of rows.toArray()) this.#drop(hash);
  }

  /** The answer goes, the key stays with its body. */
  #drop(hash: string): void {
    const { sql } = this.#storage;
    sql.exec("DELETE FROM idempotency_parts WHERE hash = ?", hash);
    sql.exec("UPDATE idempotency SET state = 'dropped', bytes = 0 WHERE hash = ?", hash);
  }

  #find(hash: string): Row | undefined {
    const [row] = this.#storage.sql
      .exec<Row>("SELECT * FROM idempotency WHERE hash = ?", hash)
      .toArray();
    return row;
  }

  #body(hash: string): Uint8Array {
    const parts = this.#storage.sql
      .exec<{ bytes: ArrayBuffer }>(
        "SELECT bytes FROM idempotency_parts WHERE hash = ? ORDER BY part",
        hash,
      )
      .toArray()
      .map(({ bytes }) => new Uint8Array(bytes));
    return joined(parts);
  }

  #remove(hash: string): void {
    this.#storage.sql.exec("DELETE FROM idempotency_parts WHERE hash = ?", hash);
    this.#storage.sql.exec("DELETE FROM idempotency WHERE hash = ?", hash);
  }
}
