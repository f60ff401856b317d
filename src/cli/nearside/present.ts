import type { Changed, Shares } from "./control-schemas.ts";
import { table } from "./table.ts";

const BAR_WIDTH = 20;

/** JSON values longer than this are cut in a line of text. */
const SHOWN_CHARACTERS = 60;

/** What a change did, or with `--dry-run` would do. */
export function changedText(
  { catalog, changes, dryRun = false }: Changed,
  nothing = "Nothing to do: it is so already.",
): string {
  if (changes.length === 0) return nothing;
  const headline = dryRun
    ? "This would change (--dry-run; nothing is done):"
    : `Changed${catalog === undefined ? "" : `; this is catalog ${catalog}`}:`;
  return `${headline}\n${differencesText(changes)}`;
}

/** A line for each field that differs. */
export function differencesText(changes: Changed["changes"]): string {
  return table(
    changes.map(({ field, before, after }) => [
      `  ${field}`,
      `${brief(before)} -> ${brief(after)}`,
    ]),
  );
}

/** A variant a line, with a bar as long as its share. */
export function sharesText(shares: Shares): string {
  return table(
    Object.entries(shares).map(([variant, { version, percent }]) => [
      `  ${variant}`,
      typeof version === "number" ? `version ${version}` : "-",
      `${percent.toFixed(1).padStart(5)} %`,
      bar(percent),
    ]),
  );
}

/** Anything above zero is seen. */
export function bar(percent: number): string {
  const length = Math.round((percent / 100) * BAR_WIDTH);
  return "█".repeat(percent > 0 ? Math.max(1, length) : 0);
}

/** A time as its reader's clock shows it. */
export function when(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? iso : time.toLocaleString("sv-SE");
}

/** How long ago, or how long it took: `45 s`, `12 min`, `3 h 5 min`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function brief(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  const text = JSON.stringify(value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS - 1)}…` : text;
}
