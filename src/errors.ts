/**
 * Every reason for which Nearside refuses or fails, as a stable code.
 * `src/protocol/problem.ts` maps each to its wire form; a code without a row there does not compile.
 */
export const ERROR_CODES = [
  // what the caller sent
  "invalid_json",
  "invalid_request",
  "invalid_input",
  "invalid_tensor",
  "unsupported_media_type",
  "unsupported_audio",
  "unsupported_image",
  "image_too_large",
  "body_too_large",
  "body_timeout",
  "cancelled",
  "batch_too_large",
  "input_too_long",
  "inference_failed",
  // what the caller asked for
  "no_edge_build",
  "route_not_found",
  "method_not_allowed",
  "override_forbidden",
  "operator_only",
  "extension_not_offered",
  "model_in_use",
  "model_off",
  "version_off",
  "model_not_found",
  "version_not_found",
  "corpus_not_found",
  "corpus_mismatch",
  // who the caller is, and what they may do
  "key_missing",
  "key_malformed",
  "key_unknown",
  "key_revoked",
  "key_expired",
  "token_invalid",
  "token_expired",
  "account_suspended",
  "key_scope",
  "model_not_allowed",
  "origin_not_allowed",
  // what the caller can pay, and how often they may ask
  "payment_required",
  "limit_reached",
  "ledger_unreachable",
  "billing_unavailable",
  "rate_limited",
  "idempotency_conflict",
  "idempotency_running",
  // what an operator asked of the control plane
  "unauthorized",
  "precondition_required",
  "precondition_failed",
  "invalid_change",
  "label_not_found",
  "flag_not_found",
  "origin_pool_not_found",
  "origin_route_not_found",
  "catalog_not_found",
  "rollout_not_found",
  "rollout_running",
  "rollout_over",
  "flag_in_the_way",
  "catalog_busy",
  "manifest_missing",
  // what we could not do
  "model_too_large",
  "model_unavailable",
  "model_damaged",
  "model_load_failed",
  "corpus_unavailable",
  "corpus_damaged",
  "instance_trapped",
  "out_of_memory",
  "isolate_over_budget",
  "catalog_unavailable",
  "keys_unavailable",
  "statistics_unavailable",
  // what the origin pool did
  "origin_unavailable",
  "origin_overloaded",
  "origin_timeout",
  "origin_failed",
  "origin_rejected",
  "pool_not_found",
  "deadline_exceeded",
  // what an origin says to a request that it can't trust
  "invalid_signature",
  "internal",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** What a version says of an input that it does not take, or can't compute; another version may. */
const INPUT_REFUSALS: ReadonlySet<string> = new Set<ErrorCode>([
  "invalid_request",
  "invalid_input",
  "invalid_tensor",
  "unsupported_media_type",
  "unsupported_audio",
  "unsupported_image",
  "image_too_large",
  "body_too_large",
  "batch_too_large",
  "input_too_long",
  "inference_failed",
]);

/** Whether a version refused an input. */
export function isInputRefusal(error: unknown): error is NearsideError {
  return error instanceof NearsideError && INPUT_REFUSALS.has(error.code);
}

/** One of several things that are wrong. */
export interface FieldProblem {
  /** `flags.minilm.targeting.fractional` */
  readonly field: string;
  readonly problem: string;
}

export interface ErrorDetails {
  /** The offending place in the request: `inputs[0].shape`, `content-type`. */
  field?: string;
  /** Everything that is wrong, where that is more than one thing. */
  problems?: readonly FieldProblem[];
  /** Seconds after which a retry may succeed. */
  retryAfterSeconds?: number;
  /** For operators: logged, never sent. */
  cause?: unknown;
}

/** An error whose `code` and `message` may be shown to the caller. Anything else is `internal`. */
export class NearsideError extends Error {
  override readonly name: string = "NearsideError";
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly problems: readonly FieldProblem[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.field = details.field;
    this.problems = details.problems;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}
