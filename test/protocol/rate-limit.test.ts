import { describe, expect, it } from "vitest";

import { RateLimits, networkOf, parseRatePolicy } from "../../src/protocol/rate-limit.ts";

const policy = { requests: 5, seconds: 10 };

/** A limiter whose answers the test gives, and the moments at which it was asked. */
function limitsWith(limit: () => Promise<{ success: boolean }>) {
  const context = {
    time: 20_000,
    waited: [] as Promise<unknown>[],
    now: () => context.time,
    waitUntil: (promise: Promise<unknown>) => void context.waited.push(promise),
  };
  return { context, limits: new RateLimits({ limit }, policy) };
}

describe("rate limits", () => {
  it("count after the answer, and refuse from then until the window is over", async () => {
    const { context, limits } = limitsWith(async () => ({ success: false }));
    limits.count("key_1", context);
    limits.count("key_1", context);
    await Promise.all(context.waited);
    context.time = 22_500;
    expect(() => limits.check("key_1", context.time)).toThrow(
      expect.objectContaining({ code: "rate_limited", retryAfterSeconds: 8 }),
    );
    expect(() => limits.check("key_2", context.time)).not.toThrow();
    context.time = 30_000;
    expect(() => limits.check("key_1", context.time)).not.toThrow();
  });

  it("let everybody through when the limiter fails, or there is none", async () => {
    const { context, limits } = limitsWith(() => Promise.reject(new Error("down")));
    limits.count("key_1", context);
    await Promise.all(context.waited);
    expect(() => limits.check("key_1", context.time)).not.toThrow();
    const none = new RateLimits(undefined, policy);
    none.count("key_1", context);
    expect([none.policy, limits.policy]).toEqual([undefined, '"burst";q=5;w=10']);
  });
});

describe("ten thousand callers who ask too often", () => {
  it("are not all forgiven when one more does: only the first is", async () => {
    const { context, limits } = limitsWith(async () => ({ success: false }));
    for (let caller = 0; caller <= 10_000; caller++) limits.count(`key_${caller}`, context);
    await Promise.all(context.waited);
    expect(() => limits.check("key_0", context.time)).not.toThrow();
    for (const caller of [1, 5_000, 10_000]) {
      expect(() => limits.check(`key_${caller}`, context.time)).toThrow("too often");
    }
  });
});

describe("the network of an address", () => {
  it.each([
    ["192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
  ])("of %s is %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe("a rate policy", () => {
  it("is requests in as many seconds as the binding can count", () => {
    expect(parseRatePolicy("2000/10")).toEqual({ requests: 2000, seconds: 10 });
  });

  it.each(["", "0/10", "5/30", "5", "5/60s", "1.5/10"])("is not %j", (text) => {
    expect(() => parseRatePolicy(text)).toThrow('RATE_LIMIT is like "2000/10".');
  });
});
