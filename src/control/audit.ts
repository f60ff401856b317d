import type { Difference } from "../catalog/diff.ts";

/** One change, as whoever made it tells the audit log. Plain JSON throughout. */
export interface AuditRecord {
  /** An entry with an id that is there already is not written again. */
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  readonly actor: string;
  /** `label.put`, `rollout.promote` */
  readonly action: string;
  /** The path of what was changed: `models/minilm/labels/stable`. */
  readonly target: string;
  /** The models that it is about. */
  readonly models: readonly string[];
  /** Null for what was not there. */
  readonly before: unknown;
  readonly after: unknown;
  /** Number of the catalog that it made; absent when it made none. */
  readonly catalog?: number;
  readonly details?: unknown;
}

/** One change, as the audit log tells it. */
export interface AuditEntry extends Omit<AuditRecord, "id"> {
  readonly seq: number;
}

export interface AuditQuery {
  readonly limit: number;
  /** Only entries with lower numbers. */
  readonly before?: number;
  readonly model?: string;
}

/** The audit log, as the API and the rollouts use it. */
export interface Audit {
  append(record: AuditRecord): Promise<void>;
  /** Newest first. */
  list(query: AuditQuery): Promise<AuditEntry[]>;
  /** Numbers of catalogs from `number` on that have an entry. */
  catalogsFrom(number: number): Promise<number[]>;
}

/** The one audit log's name. */
export const AUDIT_NAME = "audit";

/** `models.minilm.labels.stable` and `flags.minilm` are about minilm; rules and pools are about no model. */
export function modelsIn(changes: readonly Difference[]): string[] {
  const models = changes.flatMap(({ field }) => {
    const [kind, model] = field.split(".");
    return (kind === "models" || kind === "flags") && model !== undefined ? [model] : [];
  });
  return [...new Set(models)];
}
