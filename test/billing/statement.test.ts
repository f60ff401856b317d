import { describe, expect, it } from "vitest";

import {
  type Statement,
  statementCsv,
  statementJson,
  statementPage,
} from "../../src/billing/statement.ts";
import { NOON } from "./support.ts";

const line = {
  model: "m",
  version: 1,
  key: "key_1",
  placement: "edge",
  requests: 2,
  units: { tokens: 20, items: 2 },
  amount: 2_600_000_000,
  allowance: 0,
  volume: 100,
  repeated: 0,
};

const statement: Statement = {
  account: "acc_a",
  currency: "USD",
  from: "2026-11-01T00:00:00.000Z",
  to: "2026-12-01T00:00:00.000Z",
  opening: -5,
  usage: 2_600_000_000,
  allowance: 0,
  volume: 100,
  repeat: 0,
  credit: 25_000_000_000,
  refund: 0,
  adjustment: -7,
  closing: 22_400_000_088,
  recordedUpTo: "2026-12-02T08:00:00.000Z",
  provisionalUntil: "2027-01-05T00:00:00.000Z",
  isProvisional: true,
  lines: [line],
  entries: [
    {
      seq: 1,
      id: "credit:p",
      kind: "credit",
      at: NOON,
      recorded: NOON,
      amount: 25_000_000_000,
      note: 'by "card", thanks',
    },
    {
      seq: 2,
      id: "adjustment:a",
      kind: "adjustment",
      at: NOON,
      recorded: NOON,
      amount: -7,
      note: "fee",
    },
  ],
};

/** RFC 4180, read by its grammar. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain = "", end] of text.matchAll(
    /(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n)/g,
  )) {
    rows.at(-1)?.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\r\n") rows.push([]);
  }
  return rows.slice(0, -1);
}

const csvOf = (more: Partial<Statement> = {}) => parseCsv(statementCsv({ ...statement, ...more }));

describe("a statement that may still change", () => {
  const words =
    "provisional: requests may still be recorded until 2027-01-05T00:00:00.000Z; recorded up to 2026-12-02T08:00:00.000Z";

  it("says so, and when it was made, in every form", () => {
    expect(statementCsv(statement)).toContain(`"22.400000088",${words}`.replaceAll('"', ""));
    expect(statementPage(statement)).toContain(`<p>This statement is ${words}.</p>`);
    expect(JSON.parse(statementJson(statement))).toMatchObject({
      recordedUpTo: "2026-12-02T08:00:00.000Z",
      isProvisional: true,
    });
  });

  it("is final later", () => {
    const final = { ...statement, isProvisional: false };
    expect(statementPage(final)).toContain("This statement is final: recorded up to 2026-12-02");
  });
});

describe("a statement as CSV", () => {
  it("has a row for each line and entry, which sum up to its closing balance", () => {
    const [head, ...rows] = csvOf();
    expect(rows.map(([type]) => type)).toEqual([
      "opening",
      "usage",
      "allowance",
      "volume",
      "repeat",
      "credit",
      "adjustment",
      "closing",
    ]);
    expect(new Set(rows.map(({ length }) => length))).toEqual(new Set([head?.length]));
    const amounts = rows.map((row) => Number(row[head?.indexOf("amount_nano_usd") ?? -1]));
    const closing = amounts.pop();
    expect(amounts.reduce((sum, amount) => sum + amount, 0)).toBe(closing);
    expect(rows[1]).toEqual([
      "usage",
      "",
      "m",
      "1",
      "key_1",
      "edge",
      "2",
      "20 tokens; 2 items",
      "-2600000000",
      "-2.60",
      "",
    ]);
    expect(rows[5]?.at(-1)).toBe('by "card", thanks');
  });

  it.each(["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x","y")'])(
    "gives a spreadsheet nothing to run: %j",
    (note) => {
      const [entry] = statement.entries;
      const rows = csvOf({ entries: entry === undefined ? [] : [{ ...entry, note }] });
      expect(rows.find(([type]) => type === "credit")?.at(-1)).toBe(`'${note}`);
      const named = csvOf({ lines: [{ ...line, key: note }] });
      expect(named.find(([type]) => type === "usage")?.[4]).toBe(`'${note}`);
    },
  );

  it("keeps line breaks and quotes within their cell", () => {
    const [entry] = statement.entries;
    const note = 'two\r\nlines, "quoted"';
    const rows = csvOf({ entries: entry === undefined ? [] : [{ ...entry, note }] });
    expect(rows.find(([type]) => type === "credit")?.at(-1)).toBe(note);
  });
});

describe("a statement as JSON", () => {
  it("is the statement, to the nano-dollar", () => {
    expect(JSON.parse(statementJson(statement))).toEqual(statement);
  });
});

describe("a statement as a page", () => {
  it("shows every amount, exactly, and needs nothing else", () => {
    const page = statementPage(statement);
    for (const amount of [
      "-0.000000005",
      "-2.60",
      "0.0000001",
      "25.00",
      "-0.000000007",
      "22.400000088",
    ]) {
      expect(page).toContain(`<td class="number">${amount}</td>`);
    }
    expect(page).toContain("2026-11-01 00:00 up to 2026-12-01 00:00 (UTC)");
    expect(page).not.toMatch(/src=|href=|<script|url\(/);
    expect(page).toContain("@media print");
  });

  it("is the same as text, whatever people have written", () => {
    const evil = `<script>alert("1")</script>&'`;
    const [entry] = statement.entries;
    const page = statementPage({
      ...statement,
      account: evil,
      lines: [{ ...line, model: evil, key: evil, placement: evil, units: { [evil]: 1 } }],
      entries: entry === undefined ? [] : [{ ...entry, note: evil }],
    });
    expect(page).not.toContain("<script");
    expect(page.split("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;")).toHaveLength(
      8,
    );
  });

  it("leaves out tables that have nothing", () => {
    const page = statementPage({ ...statement, lines: [], entries: [] });
    expect(page.match(/<table>/g)).toHaveLength(1);
  });
});
