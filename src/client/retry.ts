import type { NearsideError } from "./error.ts";

/** Retries that a client may make at once, however few requests came before. */
const BURST = 10;
/** What each request adds: a tenth of the requests may be made again. */
const PER_REQUEST = 0.1;

/**
 * A token bucket that all calls of a client share: where every request fails, retries make the load a tenth
 * larger, not three times as large.
 */
export class RetryBudget {
  #tokens = BURST;

  /** A request is made. */
  deposit(): void {
    this.#tokens = Math.min(BURST, this.#tokens + PER_REQUEST);
  }

  /** @returns whether a retry may be made */
  withdraw(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;

/** What the server had no part in, or was not able to do just then. */
const RETRIED: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/**
 * How long to wait before a call is made again; undefined where that is of no use.
 *
 * Exponential with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), and never
 * earlier than `Retry-After` says.
 *
 * @param attempt which has failed, from 1
 * @param isSafe whether a call whose outcome nobody knows may be made again
 * @param random from 0 to 1
 */
export function retryDelayMs(
  { code, status, retryAfterSeconds }: NearsideError,
  attempt: number,
  isSafe: boolean,
  random: () => number,
): number | undefined {
  const isRetried =
    status === undefined
      ? code === "network_failed" && isSafe
      : RETRIED.has(status) || code === "idempotency_running";
  if (!isRetried) return undefined;
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  return (retryAfterSeconds ?? 0) * 1_000 + random() * ceiling;
}
