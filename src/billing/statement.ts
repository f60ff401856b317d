import type { Statement } from "./ledger/statement-of.ts";
import { type Nano, subtract, toDollars } from "./money.ts";
import type { Units } from "./price.ts";

export type { Statement, StatementLine } from "./ledger/statement-of.ts";

/** What a statement counts off, in the order of its rows. */
const DISCOUNTS = [
  ["allowance", "Free units"],
  ["volume", "Volume discount"],
  ["repeat", "Retried requests"],
] as const;

/** For machines: amounts are whole nano-dollars. */
export function statementJson(statement: Statement): string {
  return `${JSON.stringify(statement, null, 2)}\n`;
}

const COLUMNS = [
  "type",
  "at",
  "model",
  "version",
  "key",
  "placement",
  "requests",
  "units",
  "amount_nano_usd",
  "amount_usd",
  "note",
] as const;

type Row = Readonly<Partial<Record<(typeof COLUMNS)[number], string | number>>>;

/**
 * For spreadsheets (RFC 4180). Amounts are in the customer's favour when above zero, so all rows before
 * `closing` sum up to it. Its note says whether it may still change.
 */
export function statementCsv(statement: Statement): string {
  const { from, to, opening, closing, lines, entries } = statement;
  const rows: Row[] = [
    { type: "opening", at: from, ...money(opening) },
    ...lines.map(({ model, version, key, placement, requests, units, amount }) => ({
      type: "usage",
      model,
      version,
      key,
      placement,
      requests,
      units: unitsText(units),
      ...money(charge(amount)),
    })),
    ...DISCOUNTS.map(([type]) => ({ type, ...money(statement[type]) })),
    ...entries.map(({ kind, at, amount, note }) => ({
      type: kind,
      at: new Date(at).toISOString(),
      ...money(amount),
      note,
    })),
    { type: "closing", at: to, ...money(closing), note: standing(statement) },
  ];
  const cells = rows.map((row) => COLUMNS.map((column) => row[column] ?? ""));
  return [COLUMNS, ...cells].map((line) => `${line.map(csvCell).join(",")}\r\n`).join("");
}

function money(amount: Nano): Row {
  return { amount_nano_usd: amount, amount_usd: toDollars(amount) };
}

/** Whether it may still change, in words. */
function standing({ isProvisional, provisionalUntil, recordedUpTo }: Statement): string {
  return isProvisional
    ? `provisional: requests may still be recorded until ${provisionalUntil}; recorded up to ${recordedUpTo}`
    : `final: recorded up to ${recordedUpTo}`;
}

/** What was used, as it counts for the customer. */
const charge = (amount: Nano): Nano => subtract(0, amount);

/** What a spreadsheet would run as a formula. Amounts are numbers, and may begin with a minus. */
const FORMULA = /^[=+\-@\t\r]/;
const DECIMAL = /^-?\d+\.\d+$/;

function csvCell(value: string | number): string {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) && !DECIMAL.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const STYLE = `
  body { font: 14px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem; margin-bottom: 0; }
  table { border-collapse: collapse; width: 100%; margin: 1.5rem 0; }
  caption { text-align: left; font-weight: 600; padding-bottom: .25rem; }
  th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top; overflow-wrap: anywhere; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
  .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
  .total td, .total th { border-top: 2px solid #1a1a1a; font-weight: 600; }
  @page { margin: 18mm; }
  @media print { body { font-size: 10pt; margin: 0; padding: 0; max-width: none; } }
`;

/** For people and printers: a page that needs nothing else. */
export function statementPage(statement: Statement): string {
  const { account, from, to, lines, entries } = statement;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Statement of ${escaped(account)}, ${escaped(from.slice(0, 10))}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Statement</h1>
<p>Account ${escaped(account)}<br>${moment(from)} up to ${moment(to)} (UTC). Amounts are US dollars.</p>
<p>This statement is ${escaped(standing(statement))}.</p>
${summary(statement)}
${table(
  "Usage at list prices",
  ["Model", "Version", "Key", "Placement"],
  ["Requests", "Units", "Amount"],
  lines.map(({ model, version, key, placement, requests, units, amount }) => [
    [model, String(version), key, placement],
    [String(requests), unitsText(units), toDollars(amount)],
  ]),
)}
${table(
  "Payments, refunds and adjustments",
  ["Time", "Kind", "Note"],
  ["Amount"],
  entries.map(({ at, kind, note, amount }) => [
    [new Date(at).toISOString(), kind, note],
    [toDollars(amount)],
  ]),
)}
</body>
</html>
`;
}

function summary(statement: Statement): string {
  const { opening, usage, credit, refund, adjustment, closing } = statement;
  const rows: [string, Nano][] = [
    ["Opening balance", opening],
    ["Usage", charge(usage)],
    ...DISCOUNTS.map(([type, words]): [string, Nano] => [words, statement[type]]),
    ["Payments", credit],
    ["Refunds", refund],
    ["Adjustments", adjustment],
  ];
  return `<table><caption>Summary</caption><tbody>
${rows.map(summaryRow).join("\n")}
${summaryRow(["Closing balance", closing]).replace("<tr>", '<tr class="total">')}
</tbody></table>`;
}

function summaryRow([words, amount]: [string, Nano]): string {
  return `<tr><th scope="row">${words}</th><td class="number">${toDollars(amount)}</td></tr>`;
}

function table(
  caption: string,
  texts: readonly string[],
  numbers: readonly string[],
  rows: readonly (readonly [readonly string[], readonly string[]])[],
): string {
  if (rows.length === 0) return "";
  const heads = [
    ...texts.map((text) => `<th scope="col">${escaped(text)}</th>`),
    ...numbers.map((text) => `<th scope="col" class="number">${escaped(text)}</th>`),
  ];
  const body = rows.map(([left, right]) => [
    "<tr>",
    ...left.map((text) => `<td>${escaped(text)}</td>`),
    ...right.map((text) => `<td class="number">${escaped(text)}</td>`),
    "</tr>\n",
  ]);
  return `<table><caption>${caption}</caption>
<thead><tr>${heads.join("")}</tr></thead>
<tbody>
${body.flat().join("")}</tbody></table>`;
}

function unitsText(units: Units): string {
  return Object.entries(units)
    .map(([unit, count]) => `${count} ${unit}`)
    .join("; ");
}

const moment = (time: string): string => escaped(time.slice(0, 16).replace("T", " "));

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
