import { NearsideError, invalidInput, jsonOf } from "./error.ts";
import type { Datatype, Natural, Tensor, TensorArrays, TensorInput } from "./tensor.ts";
import { jsonBody, utf8 } from "./utf8.ts";

const NATURAL: Readonly<Natural> = {
  Uint8Array: "UINT8",
  Uint16Array: "UINT16",
  Uint32Array: "UINT32",
  BigUint64Array: "UINT64",
  Int8Array: "INT8",
  Int16Array: "INT16",
  Int32Array: "INT32",
  BigInt64Array: "INT64",
  Float16Array: "FP16",
  Float32Array: "FP32",
  Float64Array: "FP64",
};

const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** Says how many bytes of a body are JSON; the tensors' bytes come behind them. */
export const HEADER_LENGTH = "inference-header-content-length";

const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/**
 * A request whose tensors, and those of its answer, are raw bytes.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 *
 * @param outputs all of the model's when absent
 * @throws NearsideError `invalid_input`
 */
export function encodeTensors(
  inputs: Readonly<Record<string, TensorInput>>,
  outputs: readonly string[] | undefined,
): { readonly body: Uint8Array<ArrayBuffer>; readonly headerLength: number } {
  const parts: Uint8Array[] = [];
  const header = {
    inputs: Object.entries(inputs).map(([name, tensor]) => {
      const data = (tensor as TensorInput | null)?.data;
      if (!Array.isArray(data) && !ArrayBuffer.isView(data)) throw noElements(name);
      const part = Array.isArray(data) ? stringBytes(data) : viewBytes(data);
      parts.push(part);
      const { shape, datatype = naturalOf(name, data) } = tensor;
      return { name, datatype, shape, parameters: { binary_data_size: part.length } };
    }),
    ...(outputs && { outputs: outputs.map((name) => ({ name })) }),
    parameters: { binary_data_output: true },
  };
  const json = jsonBody(header);
  return { body: joined([json, ...parts]), headerLength: json.length };
}

function naturalOf(name: string, data: object): Datatype {
  if (Array.isArray(data)) return "BYTES";
  // By its tag, because not every platform has a Float16Array, and an array may come from another realm.
  const tag = Object.prototype.toString.call(data).slice("[object ".length, -1);
  if (Object.hasOwn(NATURAL, tag)) return NATURAL[tag as keyof Natural];
  throw noElements(name);
}

const noElements = (name: string): NearsideError =>
  invalidInput(`inputs.${name}`, "must have a typed array, or strings, as its data");

const viewBytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Each string behind its length, in four bytes. */
function stringBytes(texts: readonly string[]): Uint8Array {
  return joined(
    texts.flatMap((text) => {
      const bytes = utf8(text);
      const length = new DataView(new ArrayBuffer(4));
      length.setUint32(0, bytes.length, true);
      return [viewBytes(length), bytes];
    }),
  );
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * The tensors of an answer, as bytes or as JSON.
 *
 * @param headerLength of an answer that is more than JSON
 * @throws NearsideError `invalid_answer`
 */
export function decodeTensors(
  bytes: Uint8Array<ArrayBuffer>,
  headerLength: number = bytes.length,
): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  try {
    const { outputs } = jsonOf(decoder.decode(bytes.subarray(0, headerLength))) as WireAnswer;
    let at = headerLength;
    for (const { name, datatype, shape, data, parameters } of outputs) {
      const size = parameters?.binary_data_size;
      const part = bytes.slice(at, (at += size ?? 0));
      const elements = size === undefined ? listed(datatype, data) : elementsOf(datatype, part);
      if (elements.length !== shape.reduce((count, length) => count * length, 1))
        throw new Error("sizes differ");
      tensors[name] = { datatype, shape, data: elements };
    }
    if (at !== bytes.length) throw new Error("sizes differ");
  } catch (cause) {
    throw new NearsideError("invalid_answer", "The answer has no tensors that can be read.", {
      cause,
    });
  }
  return tensors;
}

interface WireAnswer {
  readonly outputs: readonly {
    readonly name: string;
    readonly datatype: Datatype;
    readonly shape: number[];
    readonly data: readonly never[];
    readonly parameters?: { readonly binary_data_size?: number };
  }[];
}

type Elements = TensorArrays[Datatype];

/** Of numbers, or of bigints: which, only the datatype knows. */
interface ArrayFrom {
  from(elements: unknown): Elements;
}

function elementsOf(datatype: Datatype, part: Uint8Array<ArrayBuffer>): Elements {
  if (datatype !== "BYTES") return new ARRAYS[datatype](part.buffer);
  const view = new DataView(part.buffer);
  const texts: string[] = [];
  for (let at = 0; at < part.length;) {
    const start = at + 4;
    at = start + view.getUint32(at, true);
    if (at > part.length) throw new RangeError("too short");
    texts.push(decoder.decode(part.subarray(start, at)));
  }
  return texts;
}

/** From a server that has no binary tensors. */
function listed(datatype: Datatype, data: readonly never[]): Elements {
  const flat = data.flat(Infinity) as never[];
  if (datatype === "BYTES") return flat;
  if (datatype === "FP16" || datatype === "BF16") throw new TypeError("no JSON form");
  const isLong = datatype === "INT64" || datatype === "UINT64";
  const array: ArrayFrom = ARRAYS[datatype];
  return array.from(isLong ? flat.map(BigInt) : flat);
}
