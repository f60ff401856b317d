/** One of several things that are wrong with a request. */
export interface FieldProblem {
  /** `flags.minilm.targeting.fractional` */
  readonly field: string;
  readonly problem: string;
}

/** What the client says where no server has: everything else in `code` comes from the server. */
export type ClientErrorCode =
  /** The caller's own signal. */
  | "aborted"
  /** The call's time is over, retries included. */
  | "timeout"
  /** No answer, or none to its end. */
  | "network_failed"
  /** An answer that is not what the protocol says. */
  | "invalid_answer"
  /** A refusal by something that is not Nearside: a proxy on the way. */
  | "http_error"
  /** An input that can't be sent. */
  | "invalid_input"
  | ReceiptErrorCode;

/** Why a receipt does not hold. */
export type ReceiptErrorCode =
  | "receipt_malformed"
  | "receipt_unknown_key"
  | "receipt_bad_signature"
  | "receipt_outside_key_time"
  | "receipt_other_request"
  | "receipt_other_response";

export interface ErrorDetails {
  readonly status?: number | undefined;
  readonly field?: string | undefined;
  readonly problems?: readonly FieldProblem[] | undefined;
  readonly requestId?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/**
 * Every failure of a call.
 *
 * @example
 * try {
 *   await nearside.predict("iris", [5.1, 3.5]);
 * } catch (error) {
 *   if (error instanceof NearsideError && error.code === "invalid_input") show(error.field, error.message);
 * }
 */
export class NearsideError extends Error {
  /** Stable: the server's `code`, or a {@link ClientErrorCode}. */
  readonly code: string;
  /** Of the answer; undefined where there was none. */
  readonly status: number | undefined;
  /** The offending place in the request. */
  readonly field: string | undefined;
  /** Everything that is wrong, where that is more than one thing. */
  readonly problems: readonly FieldProblem[] | undefined;
  /** What the server's log knows the request by. */
  readonly requestId: string | undefined;
  /** When the server would like to be asked again. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    // What code that knows nothing of Nearside goes by.
    this.name = NAMES[code] ?? "NearsideError";
    this.code = code;
    this.status = details.status;
    this.field = details.field;
    this.problems = details.problems;
    this.requestId = details.requestId;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

const NAMES: Readonly<Record<string, string>> = { aborted: "AbortError", timeout: "TimeoutError" };

/** Of what the caller said and can't be sent: it is never asked. */
export function invalidInput(field: string, must: string, cause?: unknown): NearsideError {
  return new NearsideError("invalid_input", `"${field}" ${must}.`, { field, cause });
}

/** Reads a refusal: problem+json, or the error of the Open Inference Protocol or of OpenAI's API. */
export async function refusalOf(response: Response, now: number): Promise<NearsideError> {
  const { status, headers } = response;
  const { error, ...problem } = objectOf(jsonOf(await response.text()));
  return errorOf(typeof error === "object" ? objectOf(error) : { detail: error, ...problem }, {
    status,
    requestId: headers.get("x-request-id") ?? undefined,
    retryAfterSeconds: retryAfterOf(headers.get("retry-after"), now),
  });
}

/** An error of the wire, with what is known of its answer. */
export function errorOf(
  { code, detail, message = detail, field, param = field, problems }: Wire,
  details: ErrorDetails,
): NearsideError {
  return new NearsideError(
    typeof code === "string" ? code : "http_error",
    typeof message === "string" ? message : `The answer has status ${details.status}.`,
    {
      ...details,
      field: typeof param === "string" ? param : undefined,
      problems: Array.isArray(problems) ? (problems as FieldProblem[]) : undefined,
    },
  );
}

type Wire = Readonly<
  Partial<Record<"code" | "detail" | "message" | "field" | "param" | "problems" | "error", unknown>>
>;

/** Seconds, or a date (RFC 9110 §10.2.3). */
function retryAfterOf(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1_000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function objectOf(value: unknown): Wire {
  return typeof value === "object" && value !== null ? value : {};
}
