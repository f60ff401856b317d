import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { csvRows, jsonRows, type Rows } from "../../src/tasks/tabular-rows.ts";
import { refusal } from "./support.ts";

const COLUMNS = ["width", "height", "depth"];
const MAX_BATCH = 4;
const ROW = [1, 2.5, -3];
const NAMED = { width: 1, height: 2.5, depth: -3 };

const fromJson = (inputs: unknown): Rows => jsonRows(inputs, COLUMNS, MAX_BATCH);
const fromCsv = (text: string, header?: string): Rows => csvRows(text, header, COLUMNS, MAX_BATCH);
const rows = (form: Rows["form"], ...values: number[][]): Rows => ({
  form,
  count: values.length,
  features: Float32Array.from(values.flat()),
});
/** A table in which one cell is replaced. */
const tableWith = (cell: unknown) => ({
  data: { width: [1, 4], height: [2, 5], depth: [3, cell] },
});

describe("jsonRows", () => {
  it.each([
    ["a row of numbers", ROW, rows("row", ROW)],
    ["a row by names", NAMED, rows("row", ROW)],
    ["a row by names in another order", { depth: -3, width: 1, height: 2.5 }, rows("row", ROW)],
    ["rows", [ROW, [4, 5, 6]], rows("rows", ROW, [4, 5, 6])],
    ["one row in an array", [ROW], rows("rows", ROW)],
    ["rows by names", [NAMED, { ...NAMED, depth: 9 }], rows("rows", ROW, [1, 2.5, 9])],
    ["rows of both kinds", [ROW, NAMED], rows("rows", ROW, ROW)],
    [
      "a table of columns",
      { data: { height: [2.5, 5], depth: [-3, 6], width: [1, 4] } },
      rows("table", ROW, [4, 5, 6]),
    ],
    [
      "a table of numbers in strings",
      { data: { width: ["1", "+4."], height: ["2.5", " 5 "], depth: ["-3.0e0", ".6E+1"] } },
      rows("table", ROW, [4, 5, 6]),
    ],
  ])("takes %s", (_, inputs, expected) => {
    expect(fromJson(inputs)).toEqual(expected);
  });

  it("takes a column that is called data", () => {
    expect(jsonRows({ data: 5 }, ["data"], 1)).toEqual(rows("row", [5]));
    expect(jsonRows({ data: { data: [5, 6] } }, ["data"], 2)).toEqual(rows("table", [5], [6]));
  });

  it.each([
    ["nothing", undefined, "inputs"],
    ["null", null, "inputs"],
    ["a number", 5, "inputs"],
    ["CSV", "1,2,3", "inputs"],
    ["an empty array", [], "inputs"],
    ["an empty object", {}, "inputs.width"],
    ["too few values", [1, 2], "inputs"],
    ["too many values", [1, 2, 3, 4], "inputs"],
    ["a string in a row", [1, "2", 3], "inputs[1]"],
    ["null in a row", [1, 2, null], "inputs[2]"],
    ["an array in a row", [1, [2], 3], "inputs[1]"],
    ["a boolean by name", { ...NAMED, height: true }, "inputs.height"],
    ["a missing name", { width: 1, height: 2 }, "inputs.depth"],
    ["a name without a value", { ...NAMED, depth: undefined }, "inputs.depth"],
    ["a name too many", { ...NAMED, colour: 4 }, "inputs.colour"],
    ["an empty row", [[], ROW], "inputs[0]"],
    ["a row too short", [ROW, [1, 2]], "inputs[1]"],
    ["a number among rows", [ROW, 5], "inputs[1]"],
    ["null among rows", [ROW, null], "inputs[1]"],
    ["a string in the second row", [ROW, [1, "2", 3]], "inputs[1][1]"],
    ["null by name in the second row", [NAMED, { ...NAMED, height: null }], "inputs[1].height"],
    ["a missing name in the second row", [NAMED, { width: 1, height: 2 }], "inputs[1].depth"],
    ["a table without a column", { data: { width: [1], height: [2] } }, "inputs.data.depth"],
    ["a table of one column too many", { data: { ...NAMED, x: [1] } }, "inputs.data.x"],
    ["a table of numbers, not arrays", { data: NAMED }, "inputs.data.width"],
    ["a table of no rows", { data: { width: [], height: [], depth: [] } }, "inputs.data.width"],
    [
      "a table of unequal columns",
      { data: { width: [1, 2], height: [1, 2], depth: [1] } },
      "inputs.data.depth",
    ],
    ["a word in a table", tableWith("six"), "inputs.data.depth[1]"],
    ["an empty string in a table", tableWith(" "), "inputs.data.depth[1]"],
    ["a hexadecimal number in a table", tableWith("0x10"), "inputs.data.depth[1]"],
    ["NaN in a table", tableWith("NaN"), "inputs.data.depth[1]"],
    ["Infinity in a table", tableWith("Infinity"), "inputs.data.depth[1]"],
    ["too large a number in a table", tableWith("1e39"), "inputs.data.depth[1]"],
    ["null in a table", tableWith(null), "inputs.data.depth[1]"],
    ["data that is an array", { data: [ROW] }, "inputs.width"],
  ])("says where %s stands", (_, inputs, field) => {
    expect(() => fromJson(inputs)).toThrow(refusal("invalid_input", field));
  });

  it.each([Number.NaN, Number(JSON.parse("1e999")), Number.NEGATIVE_INFINITY, 3.5e38, -1e300])(
    "refuses %d",
    (value) => {
      for (const [inputs, field] of [
        [[1, value, 3], "inputs[1]"],
        [{ ...NAMED, height: value }, "inputs.height"],
        [[ROW, [1, value, 3]], "inputs[1][1]"],
        [tableWith(value), "inputs.data.depth[1]"],
      ] as const) {
        expect(() => fromJson(inputs)).toThrow(refusal("invalid_input", field));
      }
    },
  );

  it("takes the largest float32 and the smallest double", () => {
    const row = [3.4028234663852886e38, -3.4028234663852886e38, 5e-324];
    expect(fromJson(row)).toEqual(rows("row", row));
  });

  it("takes a batch of the limit, and no more", () => {
    const batch = Array.from({ length: MAX_BATCH }, () => ROW);
    const column = batch.map(() => 1);
    expect(fromJson(batch).count).toBe(MAX_BATCH);
    expect(fromJson({ data: { width: column, height: column, depth: column } }).count).toBe(4);
    const longer = [...column, 1];
    for (const inputs of [
      [...batch, ROW],
      { data: { width: longer, height: longer, depth: longer } },
    ]) {
      expect(() => fromJson(inputs)).toThrow(refusal("batch_too_large", "inputs"));
    }
  });
});

describe("csvRows", () => {
  it.each([
    ["without a header", "1,2.5,-3\n4,5,6\n", undefined],
    ["with a header", "width,height,depth\n1,2.5,-3\n4,5,6", undefined],
    ["with a header in another order", "depth,width,height\r\n-3,1,2.5\r\n6,4,5\r\n", undefined],
    ["with quotes", '"width","height",depth\n"1",2.5,"-3"\n4,"5",6', undefined],
    ["with white space and blank lines", "\n 1 , 2.5,\t-3\n\n4,5,6\n\n", undefined],
    ["that says that its header is present", "width,height,depth\n1,2.5,-3\n4,5,6", "present"],
    ["that says that its header is absent", "1,2.5,-3\n4,5,6", "absent"],
    ["whose header parameter is unknown", "width,height,depth\n1,2.5,-3\n4,5,6", "maybe"],
    ["with signs and exponents", "+1,25e-1,-3.\n.4E1,5e0,600e-2", undefined],
  ])("takes CSV %s", (_, text, header) => {
    expect(fromCsv(text, header)).toEqual(rows("rows", ROW, [4, 5, 6]));
  });

  it.each([
    ["nothing", "", undefined, "inputs"],
    ["blank lines", "\n \n", undefined, "inputs"],
    ["a header alone", "width,height,depth\n", undefined, "inputs"],
    ["a header without a column", "width,height\n1,2", undefined, "inputs.depth"],
    ["a header of one column too many", "width,height,depth,x\n1,2,3,4", undefined, "inputs.x"],
    ["a column twice", "width,height,depth,width\n1,2,3,4", undefined, "inputs.width"],
    ["numbers as a header", "1,2,3\n4,5,6", "present", "inputs.width"],
    ["a header that is said to be absent", "width,height,depth", "absent", "inputs[0].width"],
    ["a cell too few", "1,2,3\n4,5", undefined, "inputs[1]"],
    ["a cell too many", "1,2,3\n4,5,6,7", undefined, "inputs[1]"],
    ["a word", "1,2,3\n4,five,6", undefined, "inputs[1].height"],
    [
      "a word under a header in another order",
      "depth,height,width\n1,2,x",
      "present",
      "inputs[0].width",
    ],
    ["an empty cell", "1,2,3\n4,5,", undefined, "inputs[1].depth"],
    ["NaN", "1,2,3\nNaN,5,6", undefined, "inputs[1].width"],
    ["infinity", "1,2,3\n4,5,-Infinity", undefined, "inputs[1].depth"],
    ["too large a number", "1,2,3\n4,5,1e39", undefined, "inputs[1].depth"],
    ["a decimal comma", '1,2,3\n"4,5",6,7', undefined, "inputs[1].width"],
    ["semicolons", "width;height;depth\n1;2;3", undefined, "inputs.width"],
  ])("says where %s stands", (_, text, header, field) => {
    expect(() => fromCsv(text, header)).toThrow(refusal("invalid_input", field));
  });

  it("says the line too, where a row has the wrong length", () => {
    expect(() => fromCsv('width,height,depth\n\n1,2,"3\n"\n4,5')).toThrow(/inputs\[1\].*line 5/);
  });

  it("takes a batch of the limit, and no more", () => {
    const limit = "1,2,3\n".repeat(MAX_BATCH);
    for (const header of ["", "width,height,depth\n"]) {
      expect(fromCsv(header + limit).count).toBe(MAX_BATCH);
      for (const more of [1, 2, 1_000]) {
        expect(() => fromCsv(header + limit + "1,2,3\n".repeat(more))).toThrow(
          refusal("batch_too_large", "inputs"),
        );
      }
    }
  });

  it("reads every form of a table alike", () => {
    const value = fc.float({ noNaN: true, noDefaultInfinity: true });
    const table = fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: MAX_BATCH });
    const order = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });
    fc.assert(
      fc.property(table, order, (values, places) => {
        const features = Float32Array.from(values.flat());
        const named = values.map((row) =>
          Object.fromEntries(places.map((place) => [COLUMNS[place], row[place]])),
        );
        const columns = places.map((place) => [COLUMNS[place], values.map((row) => row[place])]);
        const lines = values.map((row) => places.map((place) => row[place]).join(","));
        const header = places.map((place) => COLUMNS[place]).join(",");
        for (const read of [
          fromJson(values),
          fromJson(named),
          fromJson({ data: Object.fromEntries(columns) }),
          fromCsv([header, ...lines].join("\n")),
          fromCsv(values.join("\n")),
        ]) {
          // -0 is written as 0 in CSV.
          expect(read.features.map((number) => number + 0)).toEqual(features.map((n) => n + 0));
          expect(read.count).toBe(values.length);
        }
      }),
    );
  });
});
