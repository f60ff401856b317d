/**
 * Tensors as they cross Nearside: a datatype by its Open Inference Protocol name, a shape, and the
 * elements in row-major order.
 */
export interface TensorArrays {
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  /** IEEE 754 binary16, as bits. */
  FP16: Uint16Array;
  /** The upper half of a binary32, as bits. */
  BF16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
  /** UTF-8 strings: what ONNX calls a string tensor. */
  BYTES: string[];
}

export type Datatype = keyof TensorArrays;

export interface TensorOf<D extends Datatype> {
  readonly datatype: D;
  readonly shape: readonly number[];
  readonly data: TensorArrays[D];
}

export type Tensor = { [D in Datatype]: TensorOf<D> }[Datatype];

/** A tensor of numbers as its bytes, little-endian: they may stand anywhere in their buffer. */
export interface RawTensor {
  readonly datatype: NumericDatatype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** What a session is fed: a body's bytes need not become an array of elements first. */
export type Feed = Tensor | RawTensor;

/** Element type codes of `onnx.TensorProto.DataType`, and the width of an element in bytes. */
export const DATATYPES: { readonly [D in Datatype]: { onnx: number; bytes: number } } = {
  FP32: { onnx: 1, bytes: 4 },
  UINT8: { onnx: 2, bytes: 1 },
  INT8: { onnx: 3, bytes: 1 },
  UINT16: { onnx: 4, bytes: 2 },
  INT16: { onnx: 5, bytes: 2 },
  INT32: { onnx: 6, bytes: 4 },
  INT64: { onnx: 7, bytes: 8 },
  /** Width of a pointer in WASM memory. */
  BYTES: { onnx: 8, bytes: 4 },
  BOOL: { onnx: 9, bytes: 1 },
  FP16: { onnx: 10, bytes: 2 },
  FP64: { onnx: 11, bytes: 8 },
  UINT32: { onnx: 12, bytes: 4 },
  UINT64: { onnx: 13, bytes: 8 },
  BF16: { onnx: 16, bytes: 2 },
};

const BY_ONNX_CODE = new Map(
  Object.entries(DATATYPES).map(([name, { onnx }]) => [onnx, name as Datatype]),
);

/** The datatype of an ONNX element type code; undefined for those Nearside does not carry (FP8, complex). */
export function datatypeFromOnnx(code: number): Datatype | undefined {
  return BY_ONNX_CODE.get(code);
}

export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(DATATYPES, name);
}

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
} as const;

export type NumericDatatype = keyof typeof ARRAYS;

/** The typed array class that holds a datatype. */
export function arrayOf<D extends NumericDatatype>(datatype: D): (typeof ARRAYS)[D] {
  return ARRAYS[datatype];
}

/** Number of elements that a shape holds: 1 for a scalar, 0 when any dimension is 0. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}

/** The bytes of a tensor of numbers, without a copy. */
export function bytesOf({ data }: Exclude<Tensor, TensorOf<"BYTES">>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

/** The tensor of these bytes. They are copied where they don't lie as its elements must. */
export function tensorOf({ datatype, shape, bytes }: RawTensor): Tensor {
  const width = DATATYPES[datatype].bytes;
  const { buffer, byteOffset } = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const data = new (arrayOf(datatype))(buffer as ArrayBuffer, byteOffset, bytes.length / width);
  return { datatype, shape, data } as Tensor;
}

export function isFloat(
  tensor: Tensor,
): tensor is TensorOf<"FP16"> | TensorOf<"BF16"> | TensorOf<"FP32"> | TensorOf<"FP64"> {
  return /^(?:FP16|BF16|FP32|FP64)$/.test(tensor.datatype);
}

/** BF16 as FP32: the bits that it lacks are zero. */
export function floatsOfBf16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.from(bits, (upper) => upper << 16).buffer);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The nearest BF16 as bits; of two as near, the even one. NaN stays NaN, and what is too large becomes infinite. */
export function toBf16(value: number): number {
  scratch[0] = value;
  const bits = scratchBits[0] ?? 0;
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The elements of a numeric tensor as doubles: FP16 and BF16 from their bits, 64-bit integers rounded. */
export function numbersOf(tensor: Tensor): Float64Array<ArrayBuffer> {
  switch (tensor.datatype) {
    case "BYTES":
      throw new TypeError("Strings are no numbers.");
    case "FP16": {
      const { buffer, byteOffset, length } = tensor.data;
      return Float64Array.from(new Float16Array(buffer, byteOffset, length));
    }
    case "BF16":
      return Float64Array.from(floatsOfBf16(tensor.data));
    case "INT64":
    case "UINT64":
      return Float64Array.from(tensor.data, Number);
    default:
      return Float64Array.from(tensor.data);
  }
}
