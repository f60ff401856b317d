import type { CorpusColumn } from "../catalog/corpus.ts";
import { NearsideError } from "../errors.ts";
import { compareBytes, type MetadataValue } from "./build.ts";
import type { ColumnType } from "./format.ts";
import type { Column, CorpusView } from "./view.ts";

const ORDERS = ["gt", "gte", "lt", "lte"] as const;
const OPERATORS = ["eq", "ne", "in", ...ORDERS] as const;
type Operator = (typeof OPERATORS)[number];

/** What a filter says of one column, once. All conditions of a request must hold. */
export interface Condition {
  /** Its place among the columns. */
  readonly column: number;
  readonly operator: Operator;
  /** Several only for `in`. */
  readonly values: readonly MetadataValue[];
}

/** A request with more is a mistake: each value is looked up in a dictionary. */
const MAX_VALUES = 1000;

/**
 * Reads `{"lang": "en", "year": {"gte": 2020, "lt": 2024}, "tag": {"in": ["a", "b"]}, "draft": {"ne": true}}`.
 * Strings are in the order of their code points. A row without a value holds for `ne`, and for nothing else.
 *
 * @param field where the filter stands in the request
 * @throws NearsideError `invalid_input` for a column that is not there, or a value of another type
 */
export function parseFilter(
  filter: unknown,
  columns: readonly CorpusColumn[],
  field: string,
): Condition[] {
  if (filter === undefined || filter === null) return [];
  if (!isObject(filter)) throw invalid(field, 'must be an object such as {"lang": "en"}');
  return Object.entries(filter).flatMap(([name, wanted]) => {
    const column = columns.findIndex((one) => one.name === name);
    const known = columns[column];
    const place = `${field}.${name}`;
    if (known === undefined) {
      const names = columns.map((one) => one.name).join(", ") || "none";
      throw invalid(place, `is no column of this corpus; it has ${names}`);
    }
    const operators = isObject(wanted) ? Object.entries(wanted) : [["eq", wanted] as const];
    if (operators.length === 0) throw invalid(place, `needs one of ${OPERATORS.join(", ")}`);
    return operators.map(([operator, value]) =>
      conditionOf(
        column,
        known.type,
        operator,
        value,
        isObject(wanted) ? `${place}.${operator}` : place,
      ),
    );
  });
}

function conditionOf(
  column: number,
  type: ColumnType,
  name: string,
  value: unknown,
  place: string,
): Condition {
  const operator = OPERATORS.find((one) => one === name);
  if (operator === undefined) throw invalid(place, `is not one of ${OPERATORS.join(", ")}`);
  if (type === "boolean" && ORDERS.some((one) => one === operator)) {
    throw invalid(place, "compares booleans, which have no order");
  }
  if (operator !== "in") return { column, operator, values: [valueOf(value, type, place)] };
  if (!Array.isArray(value) || value.length > MAX_VALUES) {
    throw invalid(place, `must be an array of at most ${MAX_VALUES} values`);
  }
  const values = value.map((one, index) => valueOf(one, type, `${place}[${index}]`));
  return { column, operator, values };
}

function valueOf(value: unknown, type: ColumnType, place: string): MetadataValue {
  if (typeof value === type) return value as MetadataValue;
  throw invalid(place, `must be a ${type}, as in the corpus`);
}

/** The rows for which all conditions hold, in rising order; undefined where there are no conditions. */
export function rowsOf(
  view: CorpusView,
  conditions: readonly Condition[],
): Uint32Array<ArrayBuffer> | undefined {
  if (conditions.length === 0) return undefined;
  const holds = new Uint8Array(view.count).fill(1);
  for (const condition of conditions) {
    const column = view.columns[condition.column];
    if (column === undefined) throw new Error("The corpus has fewer columns than its manifest.");
    keep(holds, column.codes, codesOf(column, condition));
  }
  let count = 0;
  for (const held of holds) count += held;
  const rows = new Uint32Array(count);
  let at = 0;
  for (let row = 0; row < holds.length; row++) if (holds[row] === 1) rows[at++] = row;
  return rows;
}

function keep(holds: Uint8Array, codes: Column["codes"], allowed: Uint8Array): void {
  for (let row = 0; row < holds.length; row++) {
    holds[row] = (holds[row] ?? 0) & (allowed[codes[row] ?? 0] ?? 0);
  }
}

/** By code, whether a row with it is meant. Values are sorted, so that each bound is one search. */
function codesOf(column: Column, { operator, values }: Condition): Uint8Array {
  const allowed = new Uint8Array(column.values.length + 1);
  if (operator === "ne") allowed.fill(1);
  for (const value of values) {
    const from = rank(column, value, false);
    const end = rank(column, value, true);
    // The first value has the code 1.
    if (operator === "eq" || operator === "in") allowed.fill(1, from + 1, end + 1);
    if (operator === "ne") allowed.fill(0, from + 1, end + 1);
    if (operator === "gt" || operator === "gte") {
      allowed.fill(1, (operator === "gt" ? end : from) + 1);
    }
    if (operator === "lt" || operator === "lte") {
      allowed.fill(1, 1, (operator === "lt" ? from : end) + 1);
    }
  }
  return allowed;
}

/** How many values of a column are below this one, or with `after` not above it. */
function rank({ values }: Column, value: MetadataValue, after: boolean): number {
  const key = typeof value === "string" ? utf8.encode(value) : Number(value);
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const order =
      values instanceof Float64Array
        ? (values[middle] ?? 0) - Number(key)
        : compareBytes(values.bytesAt(middle), key as Uint8Array);
    if (order < 0 || (after && order === 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const utf8 = new TextEncoder();

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(field: string, problem: string): NearsideError {
  return new NearsideError("invalid_input", `"${field}" ${problem}.`, { field });
}
