import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NearsideError } from "../../src/client/error.ts";
import { RetryBudget, retryDelayMs } from "../../src/client/retry.ts";

const refusal = (status: number, retryAfterSeconds?: number) =>
  new NearsideError("refused", "No.", { status, retryAfterSeconds });
const lost = new NearsideError("network_failed", "No answer came.");
const always = (value: number) => () => value;

describe("retryDelayMs", () => {
  it.each([
    [1, 100],
    [2, 200],
    [3, 400],
    [6, 3_200],
    [7, 5_000],
    [30, 5_000],
  ])("waits no longer after attempt %i than %i ms", (attempt, ceiling) => {
    expect(retryDelayMs(refusal(503), attempt, true, always(1))).toBe(ceiling);
    expect(retryDelayMs(refusal(503), attempt, true, always(0))).toBe(0);
    expect(retryDelayMs(refusal(503), attempt, true, always(0.5))).toBe(ceiling / 2);
  });

  it("never waits less than Retry-After says", () => {
    expect(retryDelayMs(refusal(429, 2), 1, true, always(0))).toBe(2_000);
    expect(retryDelayMs(refusal(429, 2), 1, true, always(1))).toBe(2_100);
  });

  it.each([408, 429, 502, 503, 504])("is there for status %i, safe or not", (status) => {
    expect(retryDelayMs(refusal(status), 1, false, always(0))).toBe(0);
  });

  it.each([400, 401, 402, 403, 404, 409, 413, 422, 499, 500, 501, 507])(
    "is not there for status %i",
    (status) => {
      expect(retryDelayMs(refusal(status), 1, true, always(0))).toBeUndefined();
    },
  );

  it("is there for a lost answer only where asking again is safe", () => {
    expect(retryDelayMs(lost, 1, true, always(0))).toBe(0);
    expect(retryDelayMs(lost, 1, false, always(0))).toBeUndefined();
  });

  it.each(["aborted", "timeout", "invalid_answer"])("is not there for %s", (code) => {
    expect(retryDelayMs(new NearsideError(code, "No."), 1, true, always(0))).toBeUndefined();
  });
});

describe("the budget", () => {
  it("allows ten retries at once, and one more for every ten requests", () => {
    const budget = new RetryBudget();
    const spend = () => Array.from({ length: 20 }, () => budget.withdraw()).filter(Boolean).length;
    expect(spend()).toBe(10);
    for (let request = 0; request < 25; request++) budget.deposit();
    expect(spend()).toBe(2);
  });

  it("never allows more than a tenth of the requests beyond the first ten", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (steps) => {
        const budget = new RetryBudget();
        let requests = 0;
        let retries = 0;
        for (const isRequest of steps) {
          if (isRequest) {
            budget.deposit();
            requests++;
          } else if (budget.withdraw()) retries++;
        }
        expect(retries).toBeLessThanOrEqual(10 + requests / 10 + 1e-9);
      }),
    );
  });
});
