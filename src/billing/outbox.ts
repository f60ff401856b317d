import { dayOf } from "./periods.ts";
import type { ExportedEvent } from "./ledger/event.ts";

/** An event on its way to somewhere else. */
export interface OutboxRow {
  readonly seq: number;
  readonly target: string;
  readonly event: ExportedEvent;
  /** How often it was tried before. */
  readonly attempts: number;
}

/** What became of a try. */
export type Delivery =
  | { readonly kind: "delivered" }
  | { readonly kind: "later"; readonly error: string; readonly retryAfterSeconds?: number }
  /** Another try would end the same way. */
  | { readonly kind: "never"; readonly error: string };

export interface DeadLetter extends OutboxRow {
  readonly error: string;
}

export interface DeadFile {
  /** `<day>/<first>-<last>.ndjson` */
  readonly name: string;
  readonly seqs: readonly number[];
  readonly body: string;
}

/** 2 MB or so. */
const FILE_ROWS = 2_000;

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 3_600_000;

/**
 * With the waits above these tries take 13 hours. Stripe knows an identifier again for 24: later tries of an
 * event that may have arrived could count it twice, so from then on a person decides (`replay`).
 */
export const MAX_ATTEMPTS = 24;

/** Whoever takes rows and is not heard of again has lost them by then. */
const CLAIM_MS = 60_000;

const MAX_ERROR_CHARACTERS = 500;

interface Row extends Record<string, SqlStorageValue> {
  seq: number;
  target: string;
  payload: string;
  attempts: number;
  error: string;
}

/** What is still to be told to others: a row for each event and target, gone when it is delivered. */
export class Outbox {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  put(target: string, event: ExportedEvent, now: number): void {
    this.#sql.exec(
      "INSERT INTO outbox (target, event, payload, next) VALUES (?, ?, ?, ?)",
      target,
      event.id,
      JSON.stringify(event),
      now,
    );
  }

  /** Takes rows whose time has come, oldest first; nobody else gets them for a minute. */
  take(target: string, limit: number, now: number): OutboxRow[] {
    const rows = this.#sql
      .exec<Row>(
        `SELECT seq, target, payload, attempts, error FROM outbox
         WHERE dead = 0 AND next <= ? AND target = ? ORDER BY next, seq LIMIT ?`,
        now,
        target,
        limit,
      )
      .toArray();
    for (const { seq } of rows) {
      this.#sql.exec("UPDATE outbox SET next = ? WHERE seq = ?", now + CLAIM_MS, seq);
    }
    return rows.map(outboxRow);
  }

  /** When something is to be sent; undefined: nothing is. */
  nextAt(): number | undefined {
    const { next } = this.#sql
      .exec<{ next: number | null }>("SELECT MIN(next) AS next FROM outbox WHERE dead = 0")
      .one();
    return next ?? undefined;
  }

  settle(seq: number, delivery: Delivery, now: number): void {
    if (delivery.kind === "delivered") {
      this.#sql.exec("DELETE FROM outbox WHERE seq = ?", seq);
      return;
    }
    const [row] = this.#sql
      .exec<{ attempts: number }>("SELECT attempts FROM outbox WHERE seq = ? AND dead = 0", seq)
      .toArray();
    if (row === undefined) return;
    const attempts = row.attempts + 1;
    const isDead = delivery.kind === "never" || attempts >= MAX_ATTEMPTS;
    const asked = delivery.kind === "later" ? (delivery.retryAfterSeconds ?? 0) * 1_000 : 0;
    this.#sql.exec(
      "UPDATE outbox SET attempts = ?, next = ?, dead = ?, error = ? WHERE seq = ?",
      attempts,
      now + Math.min(Math.max(backOffMs(attempts), asked), MAX_RETRY_MS),
      isDead ? 1 : 0,
      delivery.error.slice(0, MAX_ERROR_CHARACTERS),
      seq,
    );
  }

  dead(limit: number): DeadLetter[] {
    return this.#sql
      .exec<Row>(
        "SELECT seq, target, payload, attempts, error FROM outbox WHERE dead = 1 ORDER BY seq LIMIT ?",
        limit,
      )
      .toArray()
      .map((row) => Object.assign(outboxRow(row), { error: row.error }));
  }

  /** Dead letters that nobody replayed for so long, as NDJSON; to be stored, then dropped. */
  oldDead(before: number): DeadFile | undefined {
    const rows = this.#sql
      .exec<Row & { next: number }>(
        `SELECT seq, target, payload, attempts, error, next FROM outbox
         WHERE dead = 1 AND next < ? ORDER BY seq LIMIT ?`,
        before,
        FILE_ROWS,
      )
      .toArray();
    const [first] = rows;
    if (first === undefined) return undefined;
    const seqs = rows.map(({ seq }) => seq);
    const lines = rows.map(
      (row) => `${JSON.stringify(Object.assign(outboxRow(row), { error: row.error }))}\n`,
    );
    const name = `${dayOf(first.next)}/${first.seq}-${seqs.at(-1)}.ndjson`;
    return { name, seqs, body: lines.join("") };
  }

  /** They are stored elsewhere. */
  drop(seqs: readonly number[]): void {
    for (const seq of seqs) this.#sql.exec("DELETE FROM outbox WHERE dead = 1 AND seq = ?", seq);
  }

  /** Tries dead letters again from the start. @returns how many */
  replay(target: string, now: number): number {
    return this.#sql
      .exec(
        "UPDATE outbox SET dead = 0, attempts = 0, next = ? WHERE dead = 1 AND target = ? RETURNING seq",
        now,
        target,
      )
      .toArray().length;
  }
}

/** 1 s, 2 s, 4 s … an hour. */
export function backOffMs(attempts: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), MAX_RETRY_MS);
}

function outboxRow({ seq, target, payload, attempts }: Row): OutboxRow {
  return { seq, target, event: JSON.parse(payload) as ExportedEvent, attempts };
}
