import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { csvRecords } from "../../src/tasks/csv.ts";

const cells = (text: string): (readonly string[])[] =>
  [...csvRecords(text)].map((record) => record.cells);

describe("csvRecords", () => {
  it.each([
    [
      "lines",
      "a,b\nc,d",
      [
        ["a", "b"],
        ["c", "d"],
      ],
    ],
    ["CRLF, CR and a last line break", "a\r\nb\rc\n", [["a"], ["b"], ["c"]]],
    [
      "white space around cells",
      " a\t,  b \n\tc , d",
      [
        ["a", "b"],
        ["c", "d"],
      ],
    ],
    ["quoted commas", '"a,b",c', [["a,b", "c"]]],
    ["quoted line breaks", '"a\r\nb",c\n"d\ne"', [["a\r\nb", "c"], ["d\ne"]]],
    ["doubled quotes", '"say ""hi""","""",""', [['say "hi"', '"', ""]]],
    ["white space around quotes", ' "a" ,\t"b,c"\t', [["a", "b,c"]]],
    [
      "empty cells",
      ",\n,a,\n",
      [
        ["", ""],
        ["", "a", ""],
      ],
    ],
    ["a comma at the end", "1,2,", [["1", "2", ""]]],
    ["blank lines", "\n\na\n  \n\r\nb\n\n", [["a"], ["b"]]],
    ["a quote inside a plain cell", 'a"b,5"', [['a"b', '5"']]],
    ["text after a closing quote", '"a"b,c', [["ab", "c"]]],
    ["an unfinished quote", '"a,b\nc', [["a,b\nc"]]],
    ["nothing", "", []],
    ["white space", " \n\t\n", []],
  ])("splits %s", (_, text, expected) => {
    expect(cells(text)).toEqual(expected);
  });

  it("says at which line each record starts", () => {
    const text = 'a\n\n"b\nc\r\nd",e\r\nf\rg\n';
    expect([...csvRecords(text)].map(({ line, cells: [first] }) => [line, first])).toEqual([
      [1, "a"],
      [3, "b\nc\r\nd"],
      [6, "f"],
      [7, "g"],
    ]);
  });

  it("reads what any writer writes", () => {
    const space = fc.stringMatching(/^[ \t]{0,2}$/);
    const cell = fc.record({
      text: fc
        .oneof(fc.string(), fc.stringMatching(/^[a",\r\n ]{0,6}$/), fc.string({ unit: "binary" }))
        .map((text) => text.trim()),
      quoted: fc.boolean(),
      before: space,
      after: space,
    });
    const table = fc.record({
      rows: fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 5 }),
      lineBreak: fc.constantFrom("\n", "\r\n", "\r"),
      last: fc.boolean(),
    });
    fc.assert(
      fc.property(table, ({ rows, lineBreak, last }) => {
        const lines = rows.map((row) =>
          row
            .map(({ text, quoted, before, after }) =>
              quoted || /[",\r\n]/.test(text)
                ? `${before}"${text.replaceAll('"', '""')}"${after}`
                : `${before}${text}${after}`,
            )
            .join(","),
        );
        const text = lines.join(lineBreak) + (last ? lineBreak : "");
        expect(cells(text)).toEqual(rows.map((row) => row.map((one) => one.text)));
      }),
      { numRuns: 500 },
    );
  });

  it("ends on any text, and loses no record that it has begun", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a",\r\n \t]*$/), (text) => {
        const records = [...csvRecords(text)];
        const lines = records.map(({ line }) => line);
        expect(lines).toEqual(lines.toSorted((a, b) => a - b));
        expect(
          records
            .flatMap((record) => record.cells)
            .join("")
            .replaceAll(/[^a]/g, ""),
        ).toBe(text.replaceAll(/[^a]/g, ""));
      }),
      { numRuns: 500 },
    );
  });
});
