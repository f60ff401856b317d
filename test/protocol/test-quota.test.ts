import { describe, expect, it } from "vitest";

import { TEST_REQUESTS_PER_DAY, TestQuota } from "../../src/protocol/test-quota.ts";

const EVENING = Date.UTC(2026, 10, 24, 23, 0);

describe("the quota of keys for tests", () => {
  it("is one of each account and day", () => {
    const quota = new TestQuota();
    for (let asked = 0; asked < TEST_REQUESTS_PER_DAY; asked++) quota.count("acc_a", EVENING);
    expect(() => quota.count("acc_a", EVENING)).toThrow(
      expect.objectContaining({ code: "limit_reached", retryAfterSeconds: 3_600 }),
    );
    expect(() => quota.count("acc_b", EVENING)).not.toThrow();
    expect(() => quota.count("acc_a", EVENING + 3_600_000)).not.toThrow();
  });
});
