import { checkBatch, invalidInput, kindOf } from "./inputs.ts";
import { type CsvRecord, csvRecords } from "./csv.ts";

/** What came, which decides what is answered. */
export type TableForm = "row" | "rows" | "table";

export interface Rows {
  readonly form: TableForm;
  readonly count: number;
  /** Row-major: `count` times the columns. */
  readonly features: Float32Array;
}

/**
 * The JSON forms of a table: a row `[5.1, 3.5]` or `{"width": 5.1, "height": 3.5}`, an array of those, or
 * Hugging Face's `{"data": {"width": ["5.1"], "height": [3.5]}}`.
 *
 * @throws NearsideError `invalid_input`, `batch_too_large`
 */
export function jsonRows(inputs: unknown, columns: readonly string[], maxBatch: number): Rows {
  if (Array.isArray(inputs)) {
    const values: readonly unknown[] = inputs;
    if (values.length === 0) throw invalidInput("inputs", "is empty");
    if (typeof values[0] !== "object" || values[0] === null) {
      return oneRow(values, columns, maxBatch);
    }
    checkBatch(values.length, maxBatch);
    const features = new Float32Array(values.length * columns.length);
    for (const [index, row] of values.entries()) {
      readRow(row, columns, `inputs[${index}]`, features, index * columns.length);
    }
    return { form: "rows", count: values.length, features };
  }
  if (!isObject(inputs)) {
    throw invalidInput("inputs", `must be a row or an array of rows, not ${kindOf(inputs)}`);
  }
  const data = inputs["data"];
  if (isObject(data)) return columnTable(data, columns, maxBatch);
  return oneRow(inputs, columns, maxBatch);
}

function oneRow(row: unknown, columns: readonly string[], maxBatch: number): Rows {
  checkBatch(1, maxBatch);
  const features = new Float32Array(columns.length);
  readRow(row, columns, "inputs", features, 0);
  return { form: "row", count: 1, features };
}

function readRow(
  row: unknown,
  columns: readonly string[],
  field: string,
  features: Float32Array,
  offset: number,
): void {
  if (Array.isArray(row)) {
    const values: readonly unknown[] = row;
    if (values.length !== columns.length) {
      throw invalidInput(
        field,
        `has ${values.length} values; ${columns.length} are needed: ${columns.join(", ")}`,
      );
    }
    for (const [index, value] of values.entries()) {
      features[offset + index] = finite(value, `${field}[${index}]`);
    }
    return;
  }
  if (!isObject(row)) {
    throw invalidInput(field, `must be an array or an object of numbers, not ${kindOf(row)}`);
  }
  checkNames(Object.keys(row), columns, field);
  for (const [index, column] of columns.entries()) {
    features[offset + index] = finite(row[column], `${field}.${column}`);
  }
}

function columnTable(
  data: Readonly<Record<string, unknown>>,
  columns: readonly string[],
  maxBatch: number,
): Rows {
  checkNames(Object.keys(data), columns, "inputs.data");
  const [firstColumn = ""] = columns;
  const lists = columns.map((column) => {
    const list = data[column];
    if (Array.isArray(list)) return list as readonly unknown[];
    throw invalidInput(`inputs.data.${column}`, `must be an array, not ${kindOf(list)}`);
  });
  const count = lists[0]?.length ?? 0;
  if (count === 0) throw invalidInput(`inputs.data.${firstColumn}`, "is empty");
  checkBatch(count, maxBatch);
  const features = new Float32Array(count * columns.length);
  for (const [index, list] of lists.entries()) {
    const field = `inputs.data.${columns[index]}`;
    if (list.length !== count) {
      throw invalidInput(field, `has ${list.length} values, and "${firstColumn}" has ${count}`);
    }
    for (const [row, value] of list.entries()) {
      const at = `${field}[${row}]`;
      const number = typeof value === "string" ? parseNumber(value, at) : value;
      features[row * columns.length + index] = finite(number, at);
    }
  }
  return { form: "table", count, features };
}

/**
 * CSV, with or without a header line; with one, its columns may stand in any order. `header` is RFC
 * 4180's media type parameter; without it, a first line with a cell that is no number is a header.
 *
 * @throws NearsideError `invalid_input`, `batch_too_large`
 */
export function csvRows(
  text: string,
  header: string | undefined,
  columns: readonly string[],
  maxBatch: number,
): Rows {
  const records = [...limited(csvRecords(text), maxBatch + 2)];
  const [first] = records;
  if (first === undefined) throw invalidInput("inputs", "is empty");
  const named =
    header === "present" || (header !== "absent" && first.cells.some((cell) => !NUMBER.test(cell)));
  if (named) {
    checkNames(first.cells, columns, "inputs");
    records.shift();
    if (records.length === 0) throw invalidInput("inputs", "has a header and no rows");
  }
  checkBatch(records.length, maxBatch);
  // Where each column of the model stands in a line.
  const places = columns.map((column, index) => (named ? first.cells.indexOf(column) : index));
  const features = new Float32Array(records.length * columns.length);
  for (const [row, { line, cells }] of records.entries()) {
    if (cells.length !== columns.length) {
      throw invalidInput(
        `inputs[${row}]`,
        `(line ${line}) has ${cells.length} cells; ${columns.length} are needed: ${columns.join(", ")}`,
      );
    }
    for (const [index, place] of places.entries()) {
      const field = `inputs[${row}].${columns[index]}`;
      features[row * columns.length + index] = finite(
        parseNumber(cells[place] ?? "", field),
        field,
      );
    }
  }
  return { form: "rows", count: records.length, features };
}

/** Reads no further than it takes to know that there are too many. */
function* limited(records: Iterable<CsvRecord>, limit: number): Generator<CsvRecord> {
  let left = limit;
  for (const record of records) {
    if (left-- === 0) return;
    yield record;
  }
}

function checkNames(names: readonly string[], columns: readonly string[], field: string): void {
  for (const column of columns) {
    if (!names.includes(column)) throw invalidInput(`${field}.${column}`, "is missing");
  }
  if (names.length === columns.length) return;
  const extra = names.find((name, index) => !columns.includes(name) || names.indexOf(name) < index);
  throw invalidInput(
    `${field}.${extra}`,
    `is no column of this model, or stands twice; the columns are ${columns.join(", ")}`,
  );
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

function parseNumber(text: string, field: string): number {
  const trimmed = text.trim();
  if (NUMBER.test(trimmed)) return Number(trimmed);
  throw invalidInput(field, trimmed === "" ? "is empty" : "must be a number");
}

function finite(value: unknown, field: string): number {
  if (typeof value !== "number")
    throw invalidInput(field, `must be a number, not ${kindOf(value)}`);
  // What float32 can't hold would arrive as infinity.
  if (Number.isFinite(Math.fround(value))) return value;
  throw invalidInput(field, "must be a finite number that fits 32 bits");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
