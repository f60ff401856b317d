import { DurableObject } from "cloudflare:workers";

import type { Audit, AuditEntry, AuditQuery, AuditRecord } from "../../src/control/audit.ts";
import type { Env } from "./env.ts";

/** A row of SQLite in a Durable Object has 2 MB at most, in all its columns; catalogs are kept whole elsewhere. */
const MAX_VALUE_CHARACTERS = 250_000;

const TABLE = `
  CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    models TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    catalog INTEGER,
    details TEXT
  )`;

interface Row extends Record<string, SqlStorageValue> {
  seq: number;
  at: string;
  actor: string;
  action: string;
  target: string;
  models: string;
  before: string;
  after: string;
  catalog: number | null;
  details: string | null;
}

/** Who changed what: one row for each change, never altered. There is one such object. */
export class AuditLog extends DurableObject<Env> implements Audit {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    state.storage.sql.exec(TABLE);
  }

  append(record: AuditRecord): Promise<void> {
    this.ctx.storage.sql.exec(
      `INSERT INTO entries (id, at, actor, action, target, models, before, after, catalog, details)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
      record.id,
      record.at,
      record.actor,
      record.action,
      record.target,
      JSON.stringify(record.models),
      stored(record.before),
      stored(record.after),
      record.catalog ?? null,
      record.details === undefined ? null : stored(record.details),
    );
    return Promise.resolve();
  }

  list({ limit, before, model }: AuditQuery): Promise<AuditEntry[]> {
    const rows = this.ctx.storage.sql.exec<Row>(
      `SELECT seq, at, actor, action, target, models, before, after, catalog, details FROM entries
       WHERE seq < ? AND (? IS NULL OR EXISTS (SELECT 1 FROM json_each(models) WHERE value = ?))
       ORDER BY seq DESC LIMIT ?`,
      before ?? Number.MAX_SAFE_INTEGER,
      model ?? null,
      model ?? null,
      limit,
    );
    return Promise.resolve(rows.toArray().map(entryOf));
  }

  catalogsFrom(number: number): Promise<number[]> {
    const rows = this.ctx.storage.sql.exec<{ catalog: number }>(
      "SELECT DISTINCT catalog FROM entries WHERE catalog >= ?",
      number,
    );
    return Promise.resolve(rows.toArray().map(({ catalog }) => catalog));
  }
}

function stored(value: unknown): string {
  const text = JSON.stringify(value ?? null);
  if (text.length <= MAX_VALUE_CHARACTERS) return text;
  return JSON.stringify({ omitted: `${text.length} characters; its catalog has them` });
}

function entryOf({ models, before, after, catalog, details, ...row }: Row): AuditEntry {
  return {
    ...row,
    models: JSON.parse(models) as string[],
    before: JSON.parse(before) as unknown,
    after: JSON.parse(after) as unknown,
    ...(catalog !== null && { catalog }),
    ...(details !== null && { details: JSON.parse(details) as unknown }),
  };
}
