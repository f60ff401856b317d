import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";

import type { Datatype, Tensor } from "../../runtime/tensor.ts";
import { OnnxError } from "./error.ts";

type OrtType = OrtTensor.Type;

/** The binding for Node has no BF16. */
const ORT_TYPES: { readonly [D in Exclude<Datatype, "BF16">]: OrtType } = {
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

/** Errors are thrown; ORT would write each to the console, too. */
const QUIET = { logSeverityLevel: 4 } as const;

/**
 * onnxruntime-node: the native runtime, against which builds are checked and from which fixtures
 * are made. What answers requests is the WASM one.
 */
export class ReferenceSession {
  readonly #session: InferenceSession;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  /** @param onnx the bytes of a model, or the path of one whose weights lie beside it */
  static async create(onnx: Uint8Array | string): Promise<ReferenceSession> {
    const session =
      typeof onnx === "string"
        ? await InferenceSession.create(onnx, QUIET)
        : await InferenceSession.create(onnx, QUIET);
    return new ReferenceSession(session);
  }

  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const ortFeeds = Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)]);
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

function toOrt({ datatype, shape, data }: Tensor): OrtTensor {
  if (datatype === "BF16") {
    throw new OnnxError("unsupported_datatype", "The native runtime takes no BF16 from Node.");
  }
  if (datatype !== "FP16") {
    return new OrtTensor(ORT_TYPES[datatype], data as OrtTensor["data"], shape);
  }
  // The constructor makes a Float16Array of the bits where there is one, which the binding can't read.
  return Object.assign(new OrtTensor("uint16", data, shape), { type: "float16" as const });
}

function fromOrt(name: string, value: InferenceSession.ReturnType[string]): Tensor {
  const datatype = DATATYPE_BY_ORT_TYPE.get(value.type);
  if (datatype === undefined) {
    throw new OnnxError("unsupported_datatype", `"${name}" is a ${value.type}.`);
  }
  const shape = [...value.dims];
  if (datatype !== "FP16") return { datatype, shape, data: value.data } as Tensor;
  const { buffer, byteOffset, length } = value.data as Uint16Array<ArrayBuffer>;
  return { datatype, shape, data: new Uint16Array(buffer, byteOffset, length) };
}
