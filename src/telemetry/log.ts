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

/** More causes of one error than this are a circle. */
const MAX_CAUSES = 8;

function describe(cause: unknown): string {
  const told: string[] = [];
  let next = cause;
  while (next instanceof Error && told.length < MAX_CAUSES) {
    told.push(next.stack ?? next.message);
    if (next.cause === undefined) return told.join(" <- ");
    next = next.cause;
  }
  if (!(next instanceof Error)) told.push(words(next));
  return told.join(" <- ");
}

/** A log line must not fail over what was thrown: not everything can be made a string. */
function words(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "something without words";
  }
}
