/** Earned tokens are kept up to this: all that one isolate has in flight may fail at once when an endpoint dies. */
const MAX_TOKENS = 100;
/** To begin with: an isolate that has just started learns which endpoints are broken at the cost of five failures each. */
const INITIAL_TOKENS = 10;
/** The floor, for those who earn next to nothing: three retries in ten seconds. */
const FLOOR_TOKENS = 3;
const FLOOR_MS = 10_000;

/**
 * How many retries and hedges a pool may cause, as a token bucket: each request earns a part of a token, each
 * retry costs one. So an outage is answered with a tenth more load, not with a multiple. The floor counts
 * against what was earned: whoever earns more than it gets no more than `ratio`.
 */
export class RetryBudget {
  readonly #ratio: number;
  #tokens: number;
  #floor: number;
  #at: number;

  /** @param ratio retries per request; 0 for none at all */
  constructor(ratio: number, now: number) {
    this.#ratio = ratio;
    this.#tokens = ratio > 0 ? INITIAL_TOKENS : 0;
    this.#floor = ratio > 0 ? FLOOR_TOKENS : 0;
    this.#at = now;
  }

  /** To be called once for each request, not for its retries. */
  earn(now: number): void {
    this.#refill(now);
    this.#tokens = Math.min(MAX_TOKENS, this.#tokens + this.#ratio);
    this.#floor = Math.max(0, this.#floor - this.#ratio);
  }

  /** Takes a token for a retry or a hedge. @returns false when there is none */
  trySpend(now: number): boolean {
    if (this.retriesAllowed(now) === 0) return false;
    if (this.#tokens >= 1) this.#tokens -= 1;
    else {
      this.#floor -= 1 - this.#tokens;
      this.#tokens = 0;
    }
    return true;
  }

  /** How many retries could be made now. */
  retriesAllowed(now: number): number {
    this.#refill(now);
    // Ten tenths are a whole, whatever binary fractions say.
    return Math.floor(this.#tokens + this.#floor + 1e-9);
  }

  #refill(now: number): void {
    if (this.#ratio === 0 || now <= this.#at) return;
    const refilled = this.#floor + ((now - this.#at) * FLOOR_TOKENS) / FLOOR_MS;
    this.#floor = Math.min(FLOOR_TOKENS, refilled);
    this.#at = now;
  }
}
