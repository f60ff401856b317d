import { describe, expect, it } from "vitest";

import { protocolOf, readIncoming } from "../../src/origin/incoming.ts";

const INFER = "v2/models/m/infer?a=b";
const read = (headers: Record<string, string> = {}, path = INFER, method = "POST") =>
  readIncoming(new Request(`https://origin.invalid/pools/gpu/${path}`, { method, headers }));

describe("what the edge asks for", () => {
  it("is in the path: the pool, and the protocol's own path", () => {
    expect(read()).toMatchObject({ pool: "gpu", path: INFER });
  });

  it.each([
    ["v2/models/m/infer", "infer", "open-inference"],
    ["v2/models/meta%2Fllama/versions/3/infer", "infer", "open-inference"],
    ["v1/chat/completions", "text", "openai"],
    ["v1/completions", "text", "openai"],
    ["v1/embeddings", "embeddings", "openai"],
  ])("%s is known: %s of %s", (path, operation, protocol) => {
    const incoming = read({}, path);
    expect(incoming.operation).toBe(operation);
    expect(protocolOf(incoming.operation)).toBe(protocol);
  });

  it.each([
    ["POST", "v2/repository/models/m/unload"],
    ["POST", "v2/models/m/load"],
    ["POST", "v2/models/m/infer/more"],
    ["POST", "v2/models/../../admin"],
    ["POST", "v1/models"],
    ["POST", "v1/files"],
    ["POST", "admin"],
    ["GET", "v2/health/ready"],
    ["GET", "v2/models/m/infer"],
    ["DELETE", "v1/completions"],
  ])("is never %s %s", (method, path) => {
    expect(() => read({}, path, method)).toThrow(
      expect.objectContaining({ code: "route_not_found" }),
    );
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
    ["nearside-idempotent", "false", { idempotent: false }],
    ["nearside-idempotent", "yes", { idempotent: false }],
    ["accept", "text/event-stream, */*", { wantsEvents: true }],
  ])("%s: %s", (name, value, expected) => {
    expect(read({ [name]: value })).toMatchObject(expected);
  });
});
