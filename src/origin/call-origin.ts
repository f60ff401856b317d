import type { OriginRoute } from "../catalog/catalog.ts";
import { type ErrorCode, NearsideError } from "../errors.ts";
import { readWithin } from "./read-within.ts";

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
  /** So long may an answer that has begun say nothing: the pool's own limit. */
  readonly idleMs: number;
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
  /** Whether it may be computed twice, and give the same: texts that go on are not, and cost seconds of a GPU. */
  readonly idempotent: boolean;
}

/** The origin Worker ends at the deadline itself; its verdict, which knows more, has so long to get here. */
const VERDICT_MS = 150;

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

/** A pool refused a request. */
export class OriginRejection extends NearsideError {
  /** Of the server that refused it; undefined when it is not told. */
  readonly endpointStatus: number | undefined;

  constructor(endpointStatus: number | undefined) {
    super("origin_rejected", FAILURES.origin_rejected ?? "");
    this.endpointStatus = endpointStatus;
  }
}

/** An answer that has begun well: it is to be read, or handed on. */
export class OriginAnswer {
  readonly headers: Headers;
  readonly status: number;
  readonly #response: Response;
  readonly #watch: Watch;

  constructor(response: Response, watch: Watch) {
    this.headers = response.headers;
    this.status = response.status;
    this.#response = response;
    this.#watch = watch;
  }

  /** All of it, within the request's time. @throws NearsideError `origin_failed`, `deadline_exceeded`, `cancelled` */
  async bytes(maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await readWithin(this.#response, maxBytes, this.#watch.signal);
    } catch (error) {
      throw error instanceof NearsideError ? error : this.#watch.failure(error);
    } finally {
      this.#watch.stop();
    }
  }

  /** As it comes; how long that may take is for whoever passes it on to say. @throws NearsideError `origin_failed` */
  stream(): ReadableStream<Uint8Array> {
    this.#watch.stop();
    const { body } = this.#response;
    if (body !== null) return body;
    throw new NearsideError("origin_failed", "The origin's answer has no body.");
  }
}

/**
 * Asks the pool, by way of the origin Worker.
 *
 * @throws NearsideError `origin_…`, `pool_not_found`, `deadline_exceeded`, `cancelled`
 */
export async function callOrigin(
  caller: OriginCaller,
  { path, body, headers, idempotent }: OriginCall,
): Promise<OriginAnswer> {
  const { origin, route, requestId, deadline } = caller;
  const watch = watchOf(caller);
  try {
    const response = await origin.fetch(`https://origin.invalid/pools/${route.pool}/${path}`, {
      method: "POST",
      body,
      headers: {
        ...headers,
        "nearside-deadline": String(Math.floor(deadline)),
        "nearside-request-id": requestId,
        "nearside-priority": String(PRIORITY),
        "nearside-idempotent": String(idempotent),
      },
      signal: watch.signal,
    });
    if (!response.ok) throw await failureOf(response, watch.signal);
    return new OriginAnswer(response, watch);
  } catch (error) {
    watch.stop();
    throw error instanceof NearsideError ? error : watch.failure(error);
  }
}

/** The time of a request, and its caller. */
interface Watch {
  /** Aborted when the time is over, or the caller leaves. */
  readonly signal: AbortSignal;
  stop(): void;
  /** Why something failed. */
  failure(cause: unknown): NearsideError;
}

function watchOf({ deadline, signal, now }: OriginCaller): Watch {
  const left = deadline - now();
  if (left <= 0) throw failure("deadline_exceeded");
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), left + VERDICT_MS);
  return {
    signal: AbortSignal.any([signal, late.signal]),
    stop: () => clearTimeout(timer),
    failure(cause) {
      if (signal.aborted) return failure("cancelled");
      if (late.signal.aborted) return failure("deadline_exceeded");
      return failure("origin_unavailable", { cause });
    },
  };
}

/** A problem has some hundred bytes. */
const MAX_PROBLEM_BYTES = 64 * 1024;

async function failureOf(response: Response, signal: AbortSignal): Promise<NearsideError> {
  const { code, status } = await problemOf(response, signal);
  if (code === "origin_rejected") return new OriginRejection(status);
  const seconds = response.headers.get("retry-after") ?? "";
  return failure(code, {
    ...(/^\d{1,6}$/.test(seconds) && { retryAfterSeconds: Number(seconds) }),
  });
}

async function problemOf(
  response: Response,
  signal: AbortSignal,
): Promise<{ readonly code: ErrorCode; readonly status?: number }> {
  try {
    const text = new TextDecoder().decode(await readWithin(response, MAX_PROBLEM_BYTES, signal));
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown };
    if (typeof code === "string" && Object.hasOwn(FAILURES, code)) {
      const [, status] = /\(status (\d{3})\)/.exec(String(detail)) ?? [];
      return { code: code as ErrorCode, ...(status !== undefined && { status: Number(status) }) };
    }
  } catch {
    // A Worker that fails says so in HTML.
    signal.throwIfAborted();
  }
  return { code: "origin_failed" };
}

function failure(
  code: ErrorCode,
  details: ConstructorParameters<typeof NearsideError>[2] = {},
): NearsideError {
  return new NearsideError(code, FAILURES[code] ?? "", details);
}
