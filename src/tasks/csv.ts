/** A record of a CSV text, and where it starts. */
export interface CsvRecord {
  /** Counted from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * Splits a CSV text into records (RFC 4180): quoted cells may hold commas, line breaks and doubled
 * quotes; LF ends a record as CRLF does. Blank lines are passed over, and cells lose the white space
 * around them. An unfinished quote reaches to the end.
 */
export function* csvRecords(text: string): Generator<CsvRecord, void, undefined> {
  // Sticky: a quoted cell or a plain one, then what ends it.
  const cell = /[ \t]*(?:"((?:[^"]|"")*)(?:"|$)([^,\r\n]*)|([^,\r\n]*))(,|\r\n|\n|\r|$)/y;
  let line = 1;
  let start = 1;
  let cells: string[] = [];
  while (cell.lastIndex < text.length || cells.length > 0) {
    const match = cell.exec(text);
    if (match === null) return;
    const [whole, quoted, afterQuote = "", plain = "", end = ""] = match;
    cells.push(
      quoted === undefined ? plain.trim() : (quoted.replaceAll('""', '"') + afterQuote).trim(),
    );
    line += lineBreaks(whole);
    if (end === ",") continue;
    if (cells.length > 1 || cells[0] !== "") yield { line: start, cells };
    cells = [];
    start = line;
  }
}

function lineBreaks(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\n" || (text[at] === "\r" && text[at + 1] !== "\n")) count++;
  }
  return count;
}
