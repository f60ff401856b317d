/** What holds the elements of each datatype of the Open Inference Protocol, in row-major order. */
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
  /** IEEE 754 binary16, as bits: `new Float16Array(data.buffer)` reads them, where there is one. */
  FP16: Uint16Array;
  /** bfloat16, as bits: the upper half of a float. */
  BF16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
  BYTES: string[];
}

export type Datatype = keyof TensorArrays;

/** A tensor as it comes back. */
export interface Tensor<D extends Datatype = Datatype> {
  readonly datatype: D;
  readonly shape: number[];
  readonly data: TensorArrays[D];
}

/** A `Float16Array`, said in a way that older libraries of types know. */
export interface HalfFloats extends ArrayBufferView {
  readonly [Symbol.toStringTag]: "Float16Array";
}

/** The datatype that an array stands for when nothing else is said. */
export interface Natural {
  Uint8Array: "UINT8";
  Uint16Array: "UINT16";
  Uint32Array: "UINT32";
  BigUint64Array: "UINT64";
  Int8Array: "INT8";
  Int16Array: "INT16";
  Int32Array: "INT32";
  BigInt64Array: "INT64";
  Float16Array: "FP16";
  Float32Array: "FP32";
  Float64Array: "FP64";
}

type Said<D extends Datatype> = D extends Exclude<Natural[keyof Natural], "FP16"> | "BYTES"
  ? { readonly datatype?: D | undefined }
  : { readonly datatype: D };

/** A tensor to be sent. Its datatype is that of its array, unless it is said: BOOL, and BF16 and FP16 as bits. */
export type TensorInput<D extends Datatype = Datatype> = D extends Datatype
  ?
      | (Said<D> & {
          readonly shape: readonly number[];
          readonly data: D extends "BYTES" ? readonly string[] : TensorArrays[D];
        })
      | (D extends "FP16"
          ? { readonly datatype?: D; readonly shape: readonly number[]; readonly data: HalfFloats }
          : never)
  : never;
