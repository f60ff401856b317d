/** What a log line may carry: scalars only, so that lines stay searchable. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  warn(event: string, fields?: LogFields): void;
  error(event: string, cause: unknown, fields?: LogFields): void;
}

/** One JSON object per line, as Workers Logs indexes them. Causes are for operators: they never reach a caller. */
export const consoleLog: Log = {
  warn(event, fields = {}) {
    console.warn(JSON.stringify({ level: "warn", event, ...fields }));
  },
  error(event, cause, fields = {}) {
    console.error(JSON.stringify({ level: "error", event, ...fields, cause: describe(cause) }));
  },
};

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause === undefined ? "" : ` <- ${describe(cause.cause)}`;
  return `${cause.stack ?? cause.message}${inner}`;
}
