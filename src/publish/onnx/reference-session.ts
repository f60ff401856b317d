import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";

import type { Datatype, Tensor } from "../../runtime/tensor.ts";
import { OnnxError } from "./error.ts";

type OrtType = OrtTensor.Type;

const ORT_TYPES: { readonly [D in Datatype]: OrtType } = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  FP32: "float32",
  FP64: "float64",
  BYTES: "string",
};

const DATATYPE_BY_ORT_TYPE = new Map(
  Object.entries(ORT_TYPES).map(([datatype, type]) => [type, datatype as Datatype]),
);

/**
 * onnxruntime-node: the native runtime, against which builds are checked and from which fixtures
 * are made. What answers requests is the WASM one.
 */
export class ReferenceSession {
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
  }

  /** @param onnx the bytes of a model, or the path of one whose weights lie beside it */
  static async create(onnx: Uint8Array | string): Promise<ReferenceSession> {
    const session =
      typeof onnx === "string"
        ? await InferenceSession.create(onnx)
        : await InferenceSession.create(onnx);
    return new ReferenceSession(session);
  }

  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const ortFeeds = Object.entries(feeds).map(([name, { datatype, shape, data }]) => [
      name,
      new OrtTensor(ORT_TYPES[datatype], data as OrtTensor["data"], shape),
    ]);
    const outputs = await this.#session.run(
      Object.fromEntries(ortFeeds) as InferenceSession.OnnxValueMapType,
    );
    return Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [name, fromOrt(name, value)]),
    );
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function fromOrt(name: string, value: InferenceSession.ReturnType[string]): Tensor {
  const datatype = DATATYPE_BY_ORT_TYPE.get(value.type);
  if (datatype === undefined) {
    throw new OnnxError("unsupported_datatype", `"${name}" is a ${value.type}.`);
  }
  return { datatype, shape: [...value.dims], data: value.data } as Tensor;
}
