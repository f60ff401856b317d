import { describe, expect, it } from "vitest";

import { errorOf, failureOfStatus, readRetryAfter } from "../../src/origin/failure.ts";

const NOW = Date.UTC(2026, 10, 24);

describe("what a status says of an endpoint", () => {
  it.each([
    [200, {}, undefined],
    [204, {}, undefined],
    [301, {}, { kind: "failed", reason: "redirect", undone: false, elsewhereOnly: true }],
    [400, {}, "rejected"],
    [401, {}, { kind: "failed", reason: "unauthorized", undone: true, elsewhereOnly: true }],
    [403, {}, { kind: "failed", reason: "unauthorized", undone: true, elsewhereOnly: true }],
    [413, {}, "rejected"],
    [422, {}, "rejected"],
    [429, {}, { kind: "overloaded", undone: true }],
    [429, { "retry-after": "3" }, { kind: "overloaded", undone: true, retryAfterMs: 3_000 }],
    [500, {}, { kind: "failed", undone: false, elsewhereOnly: true }],
    [501, {}, { kind: "failed", undone: false, elsewhereOnly: true }],
    [502, {}, { kind: "unreachable", undone: false, elsewhereOnly: false }],
    [503, {}, { kind: "unreachable", undone: true, elsewhereOnly: false }],
    [503, { "retry-after": "1" }, { kind: "overloaded", undone: true, retryAfterMs: 1_000 }],
    [504, {}, { kind: "timeout", undone: false }],
    [520, {}, { kind: "unreachable", undone: false }],
    [521, {}, { kind: "unreachable", undone: true }],
    [524, {}, { kind: "timeout", undone: false }],
    [530, {}, { kind: "unreachable", undone: true }],
  ])("%i %o", (status, headers, expected) => {
    const failure = failureOfStatus(status, new Headers(headers as HeadersInit), NOW);
    expect({ failure }).toMatchObject({ failure: expected });
  });
});

describe("an endpoint that is not set up as the others are", () => {
  it.each([404, 405, 408, 421, 425])("has failed, and computed nothing: %i", (status) => {
    expect(failureOfStatus(status, new Headers(), NOW)).toEqual({
      kind: "failed",
      reason: "status",
      status,
      undone: true,
      elsewhereOnly: true,
    });
  });
});

describe("Retry-After", () => {
  it.each([
    [null, undefined],
    ["", undefined],
    ["2", 2_000],
    ["0", 0],
    ["-", undefined],
    ["soon", undefined],
    [new Date(NOW + 5_000).toUTCString(), 5_000],
    [new Date(NOW - 5_000).toUTCString(), 0],
  ])("%s is %s ms", (text, milliseconds) => {
    expect(readRetryAfter(text, NOW)).toBe(milliseconds);
  });
});

describe("the error that a caller hears", () => {
  it("says when to come back to a busy pool", () => {
    const failure = {
      kind: "overloaded",
      reason: "status",
      undone: true,
      elsewhereOnly: false,
    } as const;
    expect(errorOf(failure)).toMatchObject({ code: "origin_overloaded", retryAfterSeconds: 1 });
    expect(errorOf({ ...failure, retryAfterMs: 6_500 })).toMatchObject({ retryAfterSeconds: 7 });
  });
});
