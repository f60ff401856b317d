import type { Manifest, TensorSpec } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import {
  type NumericDatatype,
  type Tensor,
  arrayOf,
  elementCount,
  isDatatype,
} from "../../runtime/tensor.ts";
import { type JsonReviver, parseJson } from "../body.ts";

/** A request of `POST /v2/models/{m}/infer`, checked against the model's signature. */
export interface InferRequest {
  readonly id: string | undefined;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Names of the outputs asked for, in that order; all of the model's when none were named. */
  readonly outputs: readonly string[];
}

/** A tensor may have more axes than any operator uses; a request may not make us loop for long. */
const MAX_RANK = 8;

/**
 * Decodes an inference request of the Open Inference Protocol.
 * https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 *
 * @throws NearsideError `invalid_json`, `invalid_request`, `invalid_tensor`, `batch_too_large`
 */
export function decodeInferRequest(text: string, manifest: Manifest): InferRequest {
  try {
    return decodeRequest(parseJson(text), manifest);
  } catch (error) {
    if (!(error instanceof InexactIntegerError)) throw error;
  }
  // JSON.parse has rounded an integer of 64 bits: once more, keeping the digits.
  try {
    return decodeRequest(parseJson(text, keepDigits), manifest);
  } catch (error) {
    throw error instanceof InexactIntegerError ? error.refusal : error;
  }
}

function decodeRequest(request: unknown, manifest: Manifest): InferRequest {
  const { id, inputs, outputs, parameters } = object(request, "");
  if (id !== undefined && typeof id !== "string") {
    throw malformed("id", "must be a string");
  }
  optionalParameters(parameters, "parameters");
  if (!Array.isArray(inputs)) throw malformed("inputs", "must be an array of tensors");
  const feeds: Record<string, Tensor> = Object.create(null);
  for (const [index, input] of inputs.entries()) {
    const field = `inputs[${index}]`;
    const { name } = object(input, field);
    if (typeof name !== "string") throw malformed(`${field}.name`, "must be a string");
    if (name in feeds) throw malformed(`${field}.name`, `repeats "${name}"`);
    const spec = manifest.inputs.find((one) => one.name === name);
    if (spec === undefined) {
      throw new NearsideError(
        "invalid_tensor",
        `The model has no input "${name}"; it has ${manifest.inputs.map((one) => `"${one.name}"`).join(", ")}.`,
        { field: `${field}.name` },
      );
    }
    feeds[name] = decodeTensor(object(input, field), spec, field, manifest.limits.maxBatch);
  }
  for (const { name } of manifest.inputs) {
    if (!(name in feeds)) {
      throw new NearsideError("invalid_tensor", `The input "${name}" is missing.`, {
        field: "inputs",
      });
    }
  }
  return { id, feeds, outputs: decodeOutputs(outputs, manifest) };
}

function decodeOutputs(outputs: unknown, manifest: Manifest): readonly string[] {
  const all = manifest.outputs.map(({ name }) => name);
  if (outputs === undefined) return all;
  if (!Array.isArray(outputs)) throw malformed("outputs", "must be an array");
  const names = outputs.map((output, index) => {
    const field = `outputs[${index}]`;
    const { name, parameters } = object(output, field);
    optionalParameters(parameters, `${field}.parameters`);
    if (typeof name !== "string") throw malformed(`${field}.name`, "must be a string");
    if (!all.includes(name)) {
      throw new NearsideError(
        "invalid_tensor",
        `The model has no output "${name}"; it has ${all.join(", ")}.`,
        {
          field: `${field}.name`,
        },
      );
    }
    return name;
  });
  if (new Set(names).size !== names.length) throw malformed("outputs", "names an output twice");
  return names.length === 0 ? all : names;
}

function decodeTensor(
  { shape, datatype, data, parameters }: Record<string, unknown>,
  spec: TensorSpec,
  field: string,
  maxBatch: number,
): Tensor {
  optionalParameters(parameters, `${field}.parameters`);
  if (typeof datatype !== "string" || !isDatatype(datatype)) {
    throw malformed(
      `${field}.datatype`,
      "must be a datatype of the protocol, such as FP32 or INT64",
    );
  }
  if (datatype !== spec.datatype) {
    throw new NearsideError(
      "invalid_tensor",
      `"${spec.name}" takes ${spec.datatype}, not ${datatype}.`,
      {
        field: `${field}.datatype`,
      },
    );
  }
  const dimensions = decodeShape(shape, spec, `${field}.shape`);
  if (spec.shape[0] === -1 && (dimensions[0] ?? 0) > maxBatch) {
    throw new NearsideError(
      "batch_too_large",
      `One request may carry ${maxBatch} inputs at most.`,
      {
        field: `${field}.shape[0]`,
      },
    );
  }
  const count = elementCount(dimensions);
  const elements = flatten(data, dimensions, count, `${field}.data`);
  if (datatype === "BYTES") {
    return {
      datatype,
      shape: dimensions,
      data: elements.map((element, index) => stringElement(element, `${field}.data`, index)),
    };
  }
  const array = new (arrayOf(datatype))(count);
  fill(datatype, array, elements, `${field}.data`);
  return { datatype, shape: dimensions, data: array } as Tensor;
}

function decodeShape(shape: unknown, spec: TensorSpec, field: string): number[] {
  const isShape =
    Array.isArray(shape) &&
    shape.length <= MAX_RANK &&
    shape.every((size) => Number.isInteger(size) && size >= 0 && size <= 0x7fff_ffff);
  if (!isShape) throw malformed(field, "must be an array of non-negative integers");
  const fits =
    shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => size === -1 || size === shape[axis]);
  if (fits) return shape as number[];
  throw new NearsideError(
    "invalid_tensor",
    `"${spec.name}" takes shape [${spec.shape.join(", ")}], not [${shape.join(", ")}]` +
      (spec.shape.includes(-1) ? " (-1 is any size)." : "."),
    { field },
  );
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

const keepDigits: JsonReviver = (_key, value, { source }) => {
  const isRounded = Number.isInteger(value) && !Number.isSafeInteger(value);
  return isRounded && source !== undefined && INTEGER_TEXT.test(source) ? BigInt(source) : value;
};

function stringElement(element: unknown, field: string, index: number): string {
  if (typeof element !== "string") throw wrongElement(`${field}[${index}]`, "a string");
  if (element.includes("\0")) throw wrongElement(`${field}[${index}]`, "a string without NUL");
  return element;
}

/** Parameters are passed through by the protocol; Nearside acts on none in JSON form, but refuses to ignore binary data. */
function optionalParameters(parameters: unknown, field: string): void {
  if (parameters === undefined) return;
  const { binary_data, binary_data_size, binary_data_output } = object(parameters, field);
  if (binary_data === true || binary_data_size !== undefined || binary_data_output === true) {
    throw malformed(
      field,
      "asks for the binary tensor extension, which this server does not offer",
    );
  }
}

function object(value: unknown, field: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw malformed(field, "must be an object");
}

function malformed(field: string, what: string): NearsideError {
  return new NearsideError(
    "invalid_request",
    `${field === "" ? "The body" : `\`${field}\``} ${what}.`,
    field === "" ? {} : { field },
  );
}

function wrongElement(field: string, expected: string): NearsideError {
  return new NearsideError("invalid_tensor", `\`${field}\` must be ${expected}.`, { field });
}

function wrongCount(
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
