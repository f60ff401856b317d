import { describe, expect, it } from "vitest";

import { Activity } from "../../src/telemetry/activity.ts";

describe("Activity", () => {
  it("is quiet from the end of the last request on", () => {
    const activity = new Activity();
    expect(activity.quietFor(0)).toBe(Number.POSITIVE_INFINITY);
    const [one, other] = [activity.begin(10), activity.begin(11)];
    expect(activity.quietFor(12)).toBe(0);
    activity.end(one, 13);
    expect(activity.quietFor(20)).toBe(0);
    activity.end(other, 21);
    expect(activity.quietFor(26)).toBe(5);
  });

  it("forgets a request that never ended, whose end later changes nothing", () => {
    const activity = new Activity();
    activity.end(activity.begin(0), 1);
    const lost = activity.begin(2);
    expect(activity.quietFor(60_001)).toBe(0);
    expect(activity.quietFor(60_002)).toBe(60_001);
    activity.end(lost, 60_010);
    expect(activity.quietFor(60_011)).toBe(60_010);
  });
});
