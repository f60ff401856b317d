import { describe, expect, it } from "vitest";

import { Timing } from "../../src/telemetry/timing.ts";

/** A clock that stands still until it is moved, as in production. */
function clock() {
  let now = 1_000;
  return { now: () => now, advance: (milliseconds: number) => void (now += milliseconds) };
}

describe("Timing", () => {
  it("writes nothing before anything was timed", () => {
    expect(String(new Timing(clock().now))).toBe("");
  });

  it("writes phases in the order in which they were done, with their durations", async () => {
    const { now, advance } = clock();
    const timing = new Timing(now);
    expect(await timing.measure("catalog", async () => (advance(12), "read"))).toBe("read");
    expect(timing.measureSync("infer", () => (advance(3.5), "ran"))).toBe("ran");
    timing.add("load", 100);
    expect(String(timing)).toBe("catalog;dur=12, infer;dur=3.5, load;dur=100");
  });

  it("writes a phase during which the clock stood still", () => {
    const timing = new Timing(clock().now);
    timing.measureSync("infer", () => {});
    expect(String(timing)).toBe("infer;dur=0");
  });

  it("adds up a phase that happens twice, where it happened first", () => {
    const timing = new Timing(clock().now);
    timing.add("decode", 1);
    timing.add("infer", 2);
    timing.add("decode", 0.5);
    expect(String(timing)).toBe("decode;dur=1.5, infer;dur=2");
  });

  it("counts a phase that failed, and lets the failure through", async () => {
    const { now, advance } = clock();
    const timing = new Timing(now);
    const fail = (): never => {
      advance(2);
      throw new Error("no");
    };
    await expect(timing.measure("decode", async () => fail())).rejects.toThrow("no");
    await expect(timing.measure("decode", fail)).rejects.toThrow("no");
    expect(() => timing.measureSync("infer", fail)).toThrow("no");
    expect(String(timing)).toBe("decode;dur=4, infer;dur=2");
  });

  it.each([
    [0.1 + 0.2, "0.3"],
    [1 / 3, "0.333"],
    [0.0004, "0"],
    [1e-9, "0"],
    [86_400_000.5, "86400000.5"],
  ])("writes %d ms as a plain decimal to the microsecond", (milliseconds, text) => {
    const timing = new Timing(clock().now);
    timing.add("load", milliseconds);
    expect(String(timing)).toBe(`load;dur=${text}`);
  });
});
