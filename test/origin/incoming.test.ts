import { describe, expect, it } from "vitest";

import { readIncoming } from "../../src/origin/incoming.ts";

const read = (headers: Record<string, string> = {}, method = "POST") =>
  readIncoming(
    new Request("https://origin.invalid/pools/gpu/v2/models/m/infer?a=b", { method, headers }),
  );

describe("what the edge asks for", () => {
  it("is in the path: the pool, and the protocol's own path", () => {
    expect(read()).toMatchObject({ pool: "gpu", path: "v2/models/m/infer?a=b" });
  });

  it("takes the lot of an ordinary request when it says nothing", () => {
    expect(read()).toMatchObject({ deadline: Infinity, priority: 5, idempotent: false });
  });

  it.each([
    ["nearside-deadline", "1800000000000", { deadline: 1_800_000_000_000 }],
    ["nearside-deadline", "soon", { deadline: Infinity }],
    ["nearside-deadline", "-1", { deadline: Infinity }],
    ["nearside-priority", "0", { priority: 0 }],
    ["nearside-priority", "12", { priority: 9 }],
    ["nearside-priority", "high", { priority: 5 }],
    ["nearside-idempotent", "true", { idempotent: true }],
    ["nearside-idempotent", "yes", { idempotent: false }],
    ["accept", "text/event-stream, */*", { wantsEvents: true }],
  ])("%s: %s", (name, value, expected) => {
    expect(read({ [name]: value })).toMatchObject(expected);
  });

  it("may be read twice when it only reads", () => {
    expect(read({ "nearside-idempotent": "false" }, "GET").idempotent).toBe(true);
  });
});
