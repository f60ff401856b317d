import { ERROR_CODES, type ErrorCode } from "../../errors.ts";
import { type ErrorForm, PROBLEM_FORM, ref } from "./schema.ts";

/** What of a request a code is about: each operation names those that it can meet. */
export type Concern =
  | "caller"
  | "request"
  | "body"
  | "input"
  | "tensors"
  | "model"
  | "run"
  | "pay"
  | "usage"
  | "statistics"
  | "operator"
  | "extension"
  /** There is nothing at the path. */
  | "path"
  /** No operation: the path has none of the method. */
  | "method"
  | "always"
  /** Only of the control plane. */
  | "control"
  /** Only of an origin, which tells it to the origin Worker. */
  | "pool";

/** Every code has its place; one without a row here does not compile. */
const CONCERNS: { readonly [C in ErrorCode]: Concern | readonly Concern[] } = {
  invalid_json: "body",
  invalid_request: "request",
  invalid_input: "input",
  invalid_tensor: "tensors",
  unsupported_media_type: "body",
  unsupported_audio: "input",
  unsupported_image: "input",
  image_too_large: "input",
  body_too_large: "body",
  body_timeout: "body",
  cancelled: ["body", "run"],
  batch_too_large: ["input", "tensors"],
  input_too_long: "input",
  inference_failed: ["input", "tensors"],
  no_edge_build: "model",
  route_not_found: "path",
  method_not_allowed: "method",
  override_forbidden: "run",
  operator_only: "operator",
  extension_not_offered: "extension",
  model_in_use: "operator",
  model_off: "model",
  version_off: "model",
  model_not_found: "model",
  version_not_found: "model",
  corpus_not_found: "run",
  corpus_mismatch: "run",
  key_missing: "caller",
  key_malformed: "caller",
  key_unknown: "caller",
  key_revoked: "caller",
  key_expired: "caller",
  token_invalid: "caller",
  token_expired: "caller",
  account_suspended: "caller",
  key_scope: "caller",
  model_not_allowed: "caller",
  origin_not_allowed: "caller",
  payment_required: "pay",
  limit_reached: "pay",
  ledger_unreachable: ["pay", "usage"],
  billing_unavailable: "pay",
  rate_limited: ["caller", "operator"],
  idempotency_conflict: "pay",
  idempotency_running: "pay",
  unauthorized: "control",
  precondition_required: "control",
  precondition_failed: "control",
  invalid_change: "control",
  label_not_found: "control",
  flag_not_found: "control",
  origin_pool_not_found: "control",
  origin_route_not_found: "control",
  catalog_not_found: "control",
  rollout_not_found: "control",
  rollout_running: "control",
  rollout_over: "control",
  flag_in_the_way: "control",
  catalog_busy: "control",
  manifest_missing: "control",
  model_too_large: "model",
  model_unavailable: "model",
  model_damaged: "run",
  model_load_failed: "run",
  corpus_unavailable: "run",
  corpus_damaged: "run",
  instance_trapped: "run",
  out_of_memory: "run",
  isolate_over_budget: "run",
  catalog_unavailable: "model",
  keys_unavailable: "caller",
  statistics_unavailable: "statistics",
  origin_unavailable: "run",
  origin_overloaded: "run",
  origin_timeout: "run",
  origin_failed: "run",
  origin_rejected: "run",
  pool_not_found: "run",
  deadline_exceeded: "run",
  invalid_signature: "pool",
  internal: "always",
};

/** The codes that an operation with these concerns may answer with. */
export function codesOf(concerns: readonly Concern[]): ErrorCode[] {
  return ERROR_CODES.filter((code) =>
    [CONCERNS[code]].flat().some((one) => one === "always" || concerns.includes(one)),
  );
}

const INFERENCE_FORM: ErrorForm = {
  mediaType: "application/json",
  schema: (codes) => ({ allOf: [ref("InferenceError")], properties: { code: { enum: codes } } }),
};

const OPENAI_FORM: ErrorForm = {
  mediaType: "application/json",
  schema: (codes) => ({
    allOf: [ref("OpenAiError")],
    properties: { error: { properties: { code: { enum: codes } } } },
  }),
};

/** By what callers of a route read. */
export function errorForm({ openInference, openAi }: { openInference: boolean; openAi?: boolean }) {
  if (openAi === true) return OPENAI_FORM;
  return openInference ? INFERENCE_FORM : PROBLEM_FORM;
}
