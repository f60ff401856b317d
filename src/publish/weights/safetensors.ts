import * as v from "valibot";

import { elementCount } from "../../runtime/tensor.ts";

/** Weights as float32, whatever width they were stored in; `data` is in row-major order. */
export interface Weights {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const Entry = v.object({
  dtype: v.string(),
  shape: v.array(Count),
  /** First byte and the byte after the last, counted from the end of the header. */
  data_offsets: v.tuple([Count, Count]),
});

const HEADER_LENGTH_BYTES = 8;
const WIDTH_BYTES = new Map([
  ["F16", 2],
  ["F32", 4],
]);

/**
 * Reads a safetensors file: https://github.com/huggingface/safetensors#format
 * @returns every F16 and F32 tensor by name; others are buffers of the framework, such as position ids
 */
export function readSafetensors(file: Uint8Array): Map<string, Weights> {
  if (file.byteLength < HEADER_LENGTH_BYTES) throw new Error("The safetensors header is cut off.");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const dataStart = HEADER_LENGTH_BYTES + Number(view.getBigUint64(0, true));
  if (dataStart > file.byteLength) throw new Error("The safetensors header is cut off.");
  const header: unknown = JSON.parse(
    new TextDecoder().decode(file.subarray(HEADER_LENGTH_BYTES, dataStart)),
  );
  const tensors = new Map<string, Weights>();
  for (const [name, value] of Object.entries(v.parse(v.record(v.string(), v.unknown()), header))) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets } = v.parse(Entry, value);
    const width = WIDTH_BYTES.get(dtype);
    if (width === undefined) continue;
    const [begin, end] = data_offsets;
    // A copy: offsets need not be aligned to the width of an element, and a Buffer's slice is a view.
    const bytes = new Uint8Array(file.subarray(dataStart + begin, dataStart + end));
    if (bytes.byteLength !== elementCount(shape) * width) {
      throw new Error(`The safetensors data of "${name}" doesn't have the size of its shape.`);
    }
    const data = dtype === "F32" ? new Float32Array(bytes.buffer) : widen(bytes);
    tensors.set(name, { shape, data });
  }
  return tensors;
}

function widen(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const halves = new Uint16Array(bytes.buffer);
  const floats = new Float32Array(halves.length);
  for (const [index, half] of halves.entries()) floats[index] = float16(half);
  return floats;
}

/** IEEE 754 binary16; every value is exact in float32. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
