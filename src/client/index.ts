export type { Answer, Call } from "./call.ts";
export type { CallOptions, Fetch, NearsideOptions } from "./caller.ts";
export {
  type ClientErrorCode,
  type FieldProblem,
  NearsideError,
  type ReceiptErrorCode,
} from "./error.ts";
export type { Meta } from "./meta.ts";
export type { AnyModels, LabelScore, ModelTypes, RecognizedText, SpeechSegment } from "./models.ts";
export { Nearside } from "./nearside.ts";
export type {
  InferOptions,
  ListedVersion,
  Match,
  ModelOptions,
  PredictOptions,
  SearchOptions,
} from "./options.ts";
export {
  type Receipt,
  type ReceiptKey,
  type ReceiptKeySet,
  type VerifyOptions,
  verifyReceipt,
} from "./receipt.ts";
export type { ChatMessage, StreamEvent, StreamInput, TextStream } from "./stream.ts";
export type { Datatype, Tensor, TensorArrays, TensorInput } from "./tensor.ts";
