import { DAY_MS } from "../billing/periods.ts";
import { NearsideError } from "../errors.ts";

/**
 * What keys for tests get free of models that cost something: so many requests of one account in each isolate and
 * day (UTC). Enough for a suite of tests, and nothing to run a service on.
 */
export const TEST_REQUESTS_PER_DAY = 1_000;

/** Counts what is asked with keys for tests. */
export class TestQuota {
  readonly #counts = new Map<string, number>();
  #day = 0;

  /** @throws NearsideError `limit_reached` */
  count(account: string, now: number): void {
    const day = Math.floor(now / DAY_MS);
    if (day !== this.#day) this.#counts.clear();
    this.#day = day;
    const count = (this.#counts.get(account) ?? 0) + 1;
    if (count > TEST_REQUESTS_PER_DAY) {
      throw new NearsideError(
        "limit_reached",
        `Keys for tests may ask ${TEST_REQUESTS_PER_DAY} times a day for what costs something.`,
        { retryAfterSeconds: Math.ceil(((day + 1) * DAY_MS - now) / 1_000) },
      );
    }
    this.#counts.set(account, count);
  }
}
