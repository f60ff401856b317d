import { NearsideError } from "../../errors.ts";
import {
  type NumericDatatype,
  type Datatype,
  type Tensor,
  arrayOf,
  elementCount,
  toBf16,
} from "../../runtime/tensor.ts";
import { type JsonReviver, parseJson } from "../body.ts";

/**
 * Parses a JSON document with tensors in it, keeping the digits of integers of 64 bits where they matter.
 *
 * @throws NearsideError `invalid_json`, and what `decode` throws
 */
export function parseTensors<T>(text: string, decode: (document: unknown) => T): T {
  try {
    return decode(parseJson(text));
  } catch (error) {
    if (!(error instanceof InexactIntegerError)) throw error;
  }
  // JSON.parse has rounded an integer of 64 bits: once more, keeping the digits.
  try {
    return decode(parseJson(text, keepDigits));
  } catch (error) {
    throw error instanceof InexactIntegerError ? error.refusal : error;
  }
}

/**
 * The `data` of a tensor in JSON, flat or nested as its shape.
 *
 * @throws NearsideError `invalid_request`, `invalid_tensor`
 */
export function decodeElements(
  datatype: Datatype,
  shape: readonly number[],
  data: unknown,
  field: string,
): Tensor {
  const count = elementCount(shape);
  const elements = flatten(data, shape, count, field);
  if (datatype === "BYTES") {
    return {
      datatype,
      shape,
      data: elements.map((element, index) => stringElement(element, field, index)),
    };
  }
  const array = new (arrayOf(datatype))(count);
  fill(datatype, array, elements, field);
  return { datatype, shape, data: array } as Tensor;
}

/** The protocol allows flat data and data nested as the shape says; nothing between the two. */
function flatten(data: unknown, shape: readonly number[], count: number, field: string): unknown[] {
  if (!Array.isArray(data)) throw malformed(field, "must be an array");
  const nested = shape.length > 1 && Array.isArray(data[0]);
  if (!nested) {
    if (data.length === count) return data;
    throw wrongCount(data.length, shape, count, field);
  }
  const flat: unknown[] = [];
  const path: number[] = [];
  const collect = (part: unknown, axis: number): void => {
    if (!Array.isArray(part) || part.length !== shape[axis]) {
      const place = path.slice(0, axis).map((index) => `[${index}]`);
      throw new NearsideError(
        "invalid_tensor",
        `The nesting of the data differs from the shape [${shape.join(", ")}].`,
        { field: field + place.join("") },
      );
    }
    if (axis === shape.length - 1) {
      for (const element of part) flat.push(element);
      return;
    }
    for (const [index, inner] of part.entries()) {
      path[axis] = index;
      collect(inner, axis + 1);
    }
  };
  collect(data, 0);
  return flat;
}

/** Inclusive ranges of the integer datatypes that a double holds exactly. */
const INTEGER_RANGES: { readonly [D in NumericDatatype]?: readonly [number, number] } = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  UINT32: [0, 0xffff_ffff],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  INT32: [-0x8000_0000, 0x7fff_ffff],
};

/** An exponent of ones only: an infinity, or none at all. */
const BF16_INFINITY = 0x7f80;

function fill(
  datatype: NumericDatatype,
  array: Tensor["data"],
  elements: readonly unknown[],
  field: string,
): void {
  switch (datatype) {
    case "BOOL":
      return fillWith(array as Uint8Array, elements, field, "true or false", (value) =>
        value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : undefined,
      );
    case "FP32":
      return fillWith(array as Float32Array, elements, field, "a finite FP32 number", (value) =>
        finite(value, Math.fround),
      );
    case "FP64":
      return fillWith(array as Float64Array, elements, field, "a finite number", (value) =>
        finite(value, Number),
      );
    case "FP16": {
      const bits = array as Uint16Array;
      const halves = new Float16Array(bits.buffer);
      return fillWith(halves, elements, field, "a finite FP16 number", (value) =>
        finite(value, Math.f16round),
      );
    }
    case "BF16":
      return fillWith(array as Uint16Array, elements, field, "a finite BF16 number", (value) => {
        const number = finite(value, Math.fround);
        const bits = number === undefined ? BF16_INFINITY : toBf16(number);
        return (bits & BF16_INFINITY) === BF16_INFINITY ? undefined : bits;
      });
    case "INT64":
    case "UINT64":
      return fillWith64(datatype, array as BigInt64Array, elements, field);
    default: {
      const [low, high] = INTEGER_RANGES[datatype] ?? [0, 0];
      return fillWith(
        array as Int32Array,
        elements,
        field,
        `a whole number from ${low} to ${high}`,
        (value) =>
          Number.isInteger(value) && (value as number) >= low && (value as number) <= high
            ? (value as number)
            : undefined,
      );
    }
  }
}

function fillWith(
  array: { [index: number]: number },
  elements: readonly unknown[],
  field: string,
  expected: string,
  convert: (value: unknown) => number | undefined,
): void {
  for (let index = 0; index < elements.length; index++) {
    const value = convert(elements[index]);
    if (value === undefined) throw wrongElement(`${field}[${index}]`, expected);
    array[index] = value;
  }
}

function fillWith64(
  datatype: "INT64" | "UINT64",
  array: BigInt64Array,
  elements: readonly unknown[],
  field: string,
): void {
  const narrow = datatype === "INT64" ? BigInt.asIntN : BigInt.asUintN;
  const refusal = (index: number): NearsideError =>
    wrongElement(`${field}[${index}]`, `a whole number that fits ${datatype}`);
  for (const [index, value] of elements.entries()) {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw new InexactIntegerError(refusal(index));
    }
    const isInteger = typeof value === "bigint" || Number.isSafeInteger(value);
    const exact = isInteger ? BigInt(value as bigint | number) : undefined;
    if (exact === undefined || narrow(64, exact) !== exact) throw refusal(index);
    array[index] = exact;
  }
}

/** The number, when it is still one in the tensor's precision; a bigint is an integer whose digits were kept. */
function finite(value: unknown, round: (value: number) => number): number | undefined {
  if (typeof value === "bigint") return finite(Number(value), round);
  return typeof value === "number" && Number.isFinite(round(value)) ? value : undefined;
}

/** Not an answer: asks for the body to be parsed again with exact integers. */
class InexactIntegerError extends Error {
  /** What to answer when there is no exact integer either: 1e300 is one to JavaScript and to nobody else. */
  readonly refusal: NearsideError;

  constructor(refusal: NearsideError) {
    super();
    this.refusal = refusal;
  }
}

const INTEGER_TEXT = /^-?\d+$/;

/** Integers of 64 bits as they stand in the text. */
export const keepDigits: JsonReviver = (_key, value, { source }) => {
  const isRounded = Number.isInteger(value) && !Number.isSafeInteger(value);
  return isRounded && source !== undefined && INTEGER_TEXT.test(source) ? BigInt(source) : value;
};

function stringElement(element: unknown, field: string, index: number): string {
  if (typeof element !== "string") throw wrongElement(`${field}[${index}]`, "a string");
  refuseNul(element, field, index);
  return element;
}

/** ORT's strings end at a NUL. @throws NearsideError `invalid_tensor` */
export function refuseNul(text: string, field: string, index: number): void {
  if (text.includes("\0")) throw wrongElement(`${field}[${index}]`, "a string without NUL");
}

export function object(value: unknown, field: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw malformed(field, "must be an object");
}

export function malformed(field: string, what: string): NearsideError {
  return new NearsideError(
    "invalid_request",
    `${field === "" ? "The body" : `\`${field}\``} ${what}.`,
    field === "" ? {} : { field },
  );
}

function wrongElement(field: string, expected: string): NearsideError {
  return new NearsideError("invalid_tensor", `\`${field}\` must be ${expected}.`, { field });
}

export function wrongCount(
  found: number,
  shape: readonly number[],
  count: number,
  field: string,
): NearsideError {
  return new NearsideError(
    "invalid_tensor",
    `The data has ${found} elements where the shape [${shape.join(", ")}] holds ${count}.`,
    { field },
  );
}
