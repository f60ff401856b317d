import { AUTH_FORMS } from "../accounts/auth-error.ts";
import { type ErrorCode, type FieldProblem, NearsideError } from "../errors.ts";
import { openAiError } from "./openai/error.ts";

interface WireForm {
  readonly status: number;
  readonly title: string;
}

/** Every internal reason and its wire form (RFC 9457). A new code does not compile until it stands here. */
export const WIRE_FORMS: { readonly [C in ErrorCode]: WireForm } = {
  invalid_json: { status: 400, title: "The body is not JSON" },
  invalid_request: { status: 400, title: "The request is not well formed" },
  invalid_input: { status: 422, title: "The input can't be used" },
  invalid_tensor: { status: 400, title: "A tensor does not fit the model" },
  unsupported_media_type: { status: 415, title: "This content type is not accepted here" },
  unsupported_audio: { status: 415, title: "This audio can't be used" },
  unsupported_image: { status: 415, title: "This image can't be used" },
  image_too_large: { status: 413, title: "An image has too many pixels" },
  body_too_large: { status: 413, title: "The body is too large" },
  body_timeout: { status: 408, title: "The body did not arrive in time" },
  // nginx's number: nobody is there to read it.
  cancelled: { status: 499, title: "The caller left" },
  batch_too_large: { status: 413, title: "Too many inputs in one request" },
  input_too_long: { status: 413, title: "An input is too long" },
  inference_failed: { status: 422, title: "The model could not compute this input" },
  no_edge_build: { status: 422, title: "The model does not run at the edge" },
  route_not_found: { status: 404, title: "There is nothing at this path" },
  method_not_allowed: { status: 405, title: "This path does not take this method" },
  override_forbidden: { status: 403, title: "Choosing a version is not allowed here" },
  operator_only: { status: 403, title: "Only the operator may do this here" },
  extension_not_offered: { status: 501, title: "This extension is not offered" },
  model_in_use: { status: 409, title: "The model is in use" },
  model_off: { status: 503, title: "The model is switched off" },
  version_off: { status: 503, title: "This version is switched off" },
  model_not_found: { status: 404, title: "No such model" },
  version_not_found: { status: 404, title: "No such version" },
  corpus_not_found: { status: 404, title: "No such corpus" },
  corpus_mismatch: { status: 409, title: "The corpus has vectors of another model" },
  ...AUTH_FORMS,
  payment_required: { status: 402, title: "The account has no credit left" },
  // Comes back by itself with the next day or month: clients treat it as they treat a quota.
  limit_reached: { status: 429, title: "A spending limit is reached" },
  ledger_unreachable: { status: 503, title: "The account's ledger can't be reached" },
  billing_unavailable: { status: 503, title: "What costs something can't be billed" },
  rate_limited: { status: 429, title: "Too many requests" },
  idempotency_conflict: { status: 422, title: "The Idempotency-Key was used for another request" },
  idempotency_running: { status: 409, title: "The first request with this key is running" },
  unauthorized: { status: 401, title: "Only the operator may do this" },
  precondition_required: { status: 428, title: "A change must say what it changes" },
  precondition_failed: { status: 412, title: "It has changed meanwhile" },
  invalid_change: { status: 422, title: "The catalog would not hold together" },
  label_not_found: { status: 404, title: "No such label" },
  flag_not_found: { status: 404, title: "The model has no flag" },
  origin_pool_not_found: { status: 404, title: "No such origin pool" },
  origin_route_not_found: { status: 404, title: "The model has no route to an origin pool" },
  catalog_not_found: { status: 404, title: "No such catalog" },
  rollout_not_found: { status: 404, title: "No such rollout" },
  rollout_running: { status: 409, title: "A rollout is running" },
  rollout_over: { status: 409, title: "The rollout is over" },
  flag_in_the_way: { status: 409, title: "The model has a flag of its own" },
  manifest_missing: { status: 409, title: "A version's manifest is missing" },
  catalog_busy: { status: 503, title: "The catalog keeps changing" },
  model_too_large: { status: 507, title: "The model does not fit an edge isolate" },
  model_unavailable: { status: 503, title: "The model can't be loaded right now" },
  model_damaged: { status: 503, title: "The model's files are damaged" },
  model_load_failed: { status: 503, title: "The model could not be loaded" },
  corpus_unavailable: { status: 503, title: "The corpus can't be loaded right now" },
  corpus_damaged: { status: 503, title: "The corpus is damaged" },
  instance_trapped: { status: 500, title: "The model crashed on this input" },
  out_of_memory: { status: 507, title: "The input needs more memory than there is" },
  isolate_over_budget: { status: 503, title: "This isolate is full" },
  catalog_unavailable: { status: 503, title: "The catalog can't be read" },
  keys_unavailable: { status: 503, title: "Keys can't be looked up" },
  statistics_unavailable: { status: 503, title: "Statistics can't be read" },
  origin_unavailable: { status: 503, title: "No server of the origin pool can be reached" },
  origin_overloaded: { status: 503, title: "The origin pool is busy" },
  origin_timeout: { status: 504, title: "The origin pool did not answer in time" },
  origin_failed: { status: 502, title: "The origin pool failed" },
  origin_rejected: { status: 422, title: "The origin pool refused the request" },
  pool_not_found: { status: 500, title: "The model's origin pool is not there" },
  deadline_exceeded: { status: 504, title: "The request's time is over" },
  invalid_signature: { status: 401, title: "The request is not signed as it must be" },
  internal: { status: 500, title: "Something went wrong on our side" },
};

/** The body of every error. `error` repeats the sentence where the Open Inference Protocol wants it. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly field?: string;
  readonly problems?: readonly FieldProblem[];
  readonly requestId: string;
}

export interface ProblemForm {
  /** `/v2` routes answer `{"error": "…"}` with the problem's fields beside it. */
  readonly openInference: boolean;
  /** The routes of OpenAI's API answer `{"error": {"message", "type", "param", "code"}}`. */
  readonly openAi?: boolean;
}

/** Whose callers read errors as OpenAI's. */
const OPENAI_PATH = /^\/v1\/(?:chat\/completions|completions|embeddings|models)(?:\/|$)/;

/** How errors are written at a path. */
export function formAt(pathname: string): ProblemForm {
  return {
    openInference: pathname === "/v2" || pathname.startsWith("/v2/"),
    openAi: OPENAI_PATH.test(pathname),
  };
}

/** The answer to an error; everything that is not a NearsideError becomes `internal`, without its words. */
export function problemResponse(error: unknown, requestId: string, form: ProblemForm): Response {
  const known =
    error instanceof NearsideError
      ? error
      : new NearsideError(
          "internal",
          "Something went wrong on our side; the request id helps us find it.",
        );
  const { status, title } = WIRE_FORMS[known.code];
  const problem: Problem = {
    type: `urn:nearside:problem:${known.code}`,
    title,
    status,
    code: known.code,
    detail: known.message,
    ...(known.field === undefined ? {} : { field: known.field }),
    ...(known.problems === undefined ? {} : { problems: known.problems }),
    requestId,
  };
  const headers = new Headers({
    "content-type":
      form.openInference || form.openAi ? "application/json" : "application/problem+json",
    "cache-control": "no-store",
  });
  if (known.retryAfterSeconds !== undefined) {
    headers.set("retry-after", String(known.retryAfterSeconds));
  }
  if (known.code === "rate_limited") {
    headers.set("ratelimit", `"burst";r=0;t=${known.retryAfterSeconds ?? 1}`);
  }
  const challenge = challengeOf(known.code);
  if (challenge !== undefined) headers.set("www-authenticate", challenge);
  return new Response(JSON.stringify(bodyOf(problem, form)), { status, headers });
}

/** RFC 6750 §3: without a key there is no error to name. */
function challengeOf(code: ErrorCode): string | undefined {
  if (!(code in AUTH_FORMS) || WIRE_FORMS[code].status !== 401) return undefined;
  return code === "key_missing" ? "Bearer" : 'Bearer error="invalid_token"';
}

function bodyOf(problem: Problem, { openInference, openAi = false }: ProblemForm): object {
  const { code, status, detail, field } = problem;
  if (openAi) return { error: openAiError(code, status, detail, field) };
  return openInference ? { error: detail, ...problem } : problem;
}
