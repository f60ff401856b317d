export type OnnxErrorCode =
  | "not_onnx"
  | "unsupported_datatype"
  | "unsupported_opset"
  | "unsupported_graph"
  | "already_external"
  | "invalid_tensor";

/** Why an ONNX file can't be read, quantized or published; the message names the tensor or node. */
export class OnnxError extends Error {
  override readonly name: string = "OnnxError";
  readonly code: OnnxErrorCode;

  constructor(code: OnnxErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}
