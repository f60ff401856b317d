import { NearsideError } from "../errors.ts";

/** What a caller hears of, when it was the last one. */
export type FailureKind = "unreachable" | "overloaded" | "timeout" | "failed";

/** One endpoint did not answer, or not well. */
export interface Failure {
  readonly kind: FailureKind;
  /** For logs. */
  readonly reason:
    | "connection"
    | "timeout"
    | "status"
    | "unauthorized"
    | "redirect"
    | "broken_body"
    | "corrupt_body"
    | "no_secret";
  readonly status?: number;
  /** The endpoint has certainly done nothing with the request: even one that must not run twice may go elsewhere. */
  readonly undone: boolean;
  /** May be repeated at an endpoint that has not seen it yet, but not where it failed: it would fail again. */
  readonly elsewhereOnly: boolean;
  readonly retryAfterMs?: number;
}

/**
 * Cloudflare's own statuses for a fetch that did not get as far as the request: refused, no connection in time,
 * unreachable, no TLS, no name (https://developers.cloudflare.com/support/troubleshooting/http-status-codes/).
 */
const NEVER_SENT = new Set([521, 522, 523, 525, 526, 530]);
const UNREACHABLE = new Set([502, 503, 520, ...NEVER_SENT]);
const TOO_LATE = new Set([504, 524]);
/**
 * What an endpoint says that is not set up as the others are: no such path, method or host there, or a connection
 * that was too slow or too early for it. Nothing was computed.
 */
const UNLIKE_THE_OTHERS = new Set([404, 405, 408, 421, 425]);

/**
 * What a status says of the endpoint.
 *
 * @returns undefined for an answer, `"rejected"` when the request seems to be at fault
 */
export function failureOfStatus(
  status: number,
  headers: Headers,
  now: number,
): Failure | "rejected" | undefined {
  if (status >= 200 && status < 300) return undefined;
  const base = { status, undone: false, elsewhereOnly: false };
  // Wherever it points, it is not the endpoint that the operator has named.
  if (status < 400) return { ...base, kind: "failed", reason: "redirect", elsewhereOnly: true };
  // No caller's credentials get this far: it's our signature that was refused, or the endpoint's clock is wrong.
  if (status === 401 || status === 403) {
    return { ...base, kind: "failed", reason: "unauthorized", undone: true, elsewhereOnly: true };
  }
  const retryAfterMs = readRetryAfter(headers.get("retry-after"), now);
  if (status === 429 || (status === 503 && retryAfterMs !== undefined)) {
    const after = retryAfterMs === undefined ? {} : { retryAfterMs };
    return { ...base, kind: "overloaded", reason: "status", undone: true, ...after };
  }
  if (UNLIKE_THE_OTHERS.has(status)) {
    return { ...base, kind: "failed", reason: "status", undone: true, elsewhereOnly: true };
  }
  if (status < 500) return "rejected";
  if (TOO_LATE.has(status)) return { ...base, kind: "timeout", reason: "status" };
  if (UNREACHABLE.has(status)) {
    // RFC 9110 §15.6.4: a 503 is the word of who does not handle the request now. A 502 may have lost an answer.
    const undone = status === 503 || NEVER_SENT.has(status);
    return { ...base, kind: "unreachable", reason: "status", undone };
  }
  return { ...base, kind: "failed", reason: "status", elsewhereOnly: true };
}

/**
 * What fetch threw. It says the same for a connection that was refused and one that broke after the request was
 * computed, so nothing is known of what was done.
 */
export const CONNECTION_FAILURE: Failure = {
  kind: "unreachable",
  reason: "connection",
  undone: false,
  elsewhereOnly: false,
};
export const TIMEOUT_FAILURE: Failure = {
  kind: "timeout",
  reason: "timeout",
  undone: false,
  elsewhereOnly: false,
};
export const BROKEN_BODY: Failure = {
  kind: "failed",
  reason: "broken_body",
  undone: false,
  elsewhereOnly: false,
};
export const CORRUPT_BODY: Failure = { ...BROKEN_BODY, reason: "corrupt_body" };

/** The endpoint's credentials are not there: it was never asked. */
export const NO_SECRET: Failure = {
  kind: "failed",
  reason: "no_secret",
  undone: true,
  elsewhereOnly: true,
};

/** `Retry-After` (RFC 9110 §10.2.3) in milliseconds from now. */
export function readRetryAfter(text: string | null, now: number): number | undefined {
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** The last failure in the caller's words. */
export function errorOf(failure: Failure): NearsideError {
  switch (failure.kind) {
    case "unreachable":
      return new NearsideError(
        "origin_unavailable",
        "No server of the origin pool can be reached right now.",
        { retryAfterSeconds: 1 },
      );
    case "overloaded":
      return new NearsideError("origin_overloaded", "The origin pool has too much to do.", {
        retryAfterSeconds: Math.max(1, Math.ceil((failure.retryAfterMs ?? 0) / 1_000)),
      });
    case "timeout":
      return new NearsideError("origin_timeout", "The origin pool did not answer in time.");
    case "failed":
      return new NearsideError("origin_failed", "The origin pool could not answer this request.");
  }
}
