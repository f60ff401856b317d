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
};

const BY_ONNX_CODE = new Map(
  Object.entries(DATATYPES).map(([name, { onnx }]) => [onnx, name as Datatype]),
);

/** The datatype of an ONNX element type code; undefined for those Nearside does not carry (BF16, FP8, complex). */
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

export function isFloat(
  tensor: Tensor,
): tensor is TensorOf<"FP16"> | TensorOf<"FP32"> | TensorOf<"FP64"> {
  return tensor.datatype === "FP32" || tensor.datatype === "FP64" || tensor.datatype === "FP16";
}

/** The elements of a numeric tensor as doubles: FP16 from its bits, 64-bit integers rounded. */
export function numbersOf(tensor: Tensor): Float64Array<ArrayBuffer> {
  switch (tensor.datatype) {
    case "BYTES":
      throw new TypeError("Strings are no numbers.");
    case "FP16": {
      const { buffer, byteOffset, length } = tensor.data;
      return Float64Array.from(new Float16Array(buffer, byteOffset, length));
    }
    case "INT64":
    case "UINT64":
      return Float64Array.from(tensor.data, Number);
    default:
      return Float64Array.from(tensor.data);
  }
}
