import type { OriginRoute } from "../catalog/catalog.ts";
import { type ErrorCode, NearsideError } from "../errors.ts";

/** The origin Worker, by its service binding. */
export interface OriginService {
  fetch(url: string, init: RequestInit): Promise<Response>;
}

/** What a request is to be forwarded with. */
export interface OriginCaller {
  readonly origin: OriginService;
  readonly route: OriginRoute;
  readonly requestId: string;
  /** Milliseconds since the epoch: an answer that has not begun by then is too late. */
  readonly deadline: number;
  /** Aborted when the caller leaves. */
  readonly signal: AbortSignal;
  now(): number;
}

export interface OriginCall {
  /** The protocol's own: `v2/models/minilm/infer`. */
  readonly path: string;
  readonly body: Uint8Array<ArrayBuffer>;
  /** `content-type`, `accept`, `inference-header-content-length`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Plans of accounts will have others. */
const PRIORITY = 5;

/** What an origin's failure is called, and in whose words: nothing that it says itself goes further. */
const FAILURES: { readonly [C in ErrorCode]?: string } = {
  origin_unavailable: "No server of the model's origin pool can be reached right now.",
  origin_overloaded: "The model's origin pool is busy; try again later.",
  origin_timeout: "The model's origin pool did not answer in time.",
  origin_failed: "The model's origin pool could not answer.",
  origin_rejected: "The model's origin pool can't use this request.",
  pool_not_found: "The model's origin pool is not in the catalog.",
  deadline_exceeded: "The time that the request has is over.",
  cancelled: "The caller left before the answer.",
};

/**
 * Asks the pool, by way of the origin Worker.
 *
 * @returns an answer that has begun well, its body a stream
 * @throws NearsideError `origin_…`, `pool_not_found`, `deadline_exceeded`, `cancelled`
 */
export async function callOrigin(
  { origin, route, requestId, deadline, signal, now }: OriginCaller,
  { path, body, headers }: OriginCall,
): Promise<Response> {
  const left = deadline - now();
  if (left <= 0) throw failure("deadline_exceeded");
  // Stopped once the answer begins: how long it may take then is the pool's affair.
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), left);
  let response: Response;
  try {
    response = await origin.fetch(`https://origin.invalid/pools/${route.pool}/${path}`, {
      method: "POST",
      body,
      headers: {
        ...headers,
        "nearside-deadline": String(Math.floor(deadline)),
        "nearside-request-id": requestId,
        "nearside-priority": String(PRIORITY),
        // No model changes anything but its answer: it may be computed twice.
        "nearside-idempotent": "true",
      },
      signal: AbortSignal.any([signal, late.signal]),
    });
  } catch (cause) {
    if (signal.aborted) throw failure("cancelled");
    if (late.signal.aborted) throw failure("deadline_exceeded");
    throw failure("origin_unavailable", { cause });
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return response;
  throw await failureOf(response);
}

async function failureOf(response: Response): Promise<NearsideError> {
  const code = await codeOf(response);
  const seconds = response.headers.get("retry-after") ?? "";
  return failure(code, {
    ...(/^\d{1,6}$/.test(seconds) && { retryAfterSeconds: Number(seconds) }),
  });
}

async function codeOf(response: Response): Promise<ErrorCode> {
  try {
    const { code } = await response.json<{ code?: unknown }>();
    if (typeof code === "string" && Object.hasOwn(FAILURES, code)) return code as ErrorCode;
  } catch {
    // A Worker that fails says so in HTML.
  }
  return "origin_failed";
}

function failure(
  code: ErrorCode,
  details: ConstructorParameters<typeof NearsideError>[2] = {},
): NearsideError {
  return new NearsideError(code, FAILURES[code] ?? "", details);
}
