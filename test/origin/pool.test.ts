import * as v from "valibot";
import { describe, expect, it } from "vitest";

import { OriginPool } from "../../src/origin/pool.ts";

const URL_A = "https://gpu-a.example.com/v2";

const poolWith = (change: object) => ({
  protocol: "open-inference",
  endpoints: [{ url: URL_A }],
  ...change,
});

const problemsOf = (input: unknown): string =>
  v
    .safeParse(OriginPool, input)
    .issues?.map(({ message }) => message)
    .join("; ") ?? "";

describe("OriginPool", () => {
  it("needs only a protocol and an endpoint", () => {
    expect(v.parse(OriginPool, poolWith({}))).toEqual({
      protocol: "open-inference",
      endpoints: [{ url: URL_A, weight: 1 }],
      timeoutMs: 30_000,
      idleMs: 10_000,
      maxInFlight: 64,
      queue: { length: 32, waitMs: 2_000 },
      retry: { budget: 0.1 },
      hedge: true,
      allowPrivate: false,
      sign: true,
    });
  });

  it("keeps what it is told", () => {
    const pool = {
      protocol: "openai",
      endpoints: [
        { url: URL_A, weight: 2.5, model: "meta/llama", headers: { "x-team": "search" } },
        { url: "http://203.0.114.7:8000/v1", weight: 1 },
      ],
      timeoutMs: 5_000,
      idleMs: 2_000,
      maxInFlight: 8,
      queue: { length: 0, waitMs: 100 },
      retry: { budget: 0 },
      hedge: false,
      allowPrivate: false,
      sign: false,
      health: { [URL_A]: { healthy: false, at: 1_790_000_000_000 } },
    };
    expect(v.parse(OriginPool, pool)).toEqual(pool);
  });

  it.each([
    ["no endpoints", { endpoints: [] }, "must have at least one endpoint"],
    ["another scheme", { endpoints: [{ url: "ftp://x.example.com" }] }, "must be an http"],
    ["no URL", { endpoints: [{ url: "gpu" }] }, "must be an http"],
    ["credentials", { endpoints: [{ url: "https://me:pw@x.example.com" }] }, "no credentials"],
    ["a user alone", { endpoints: [{ url: "https://me@x.example.com" }] }, "no credentials"],
    ["a query", { endpoints: [{ url: "https://x.example.com/?key=1" }] }, "no query"],
    ["a fragment", { endpoints: [{ url: "https://x.example.com/#a" }] }, "no fragment"],
    ["an endpoint twice", { endpoints: [{ url: URL_A }, { url: URL_A }] }, "twice"],
    [
      "an endpoint twice, written differently",
      { endpoints: [{ url: "https://x.example.com" }, { url: "HTTPS://X.example.com:443/" }] },
      "twice",
    ],
    ["a private address", { endpoints: [{ url: "http://10.0.0.1" }] }, '"allowPrivate": true'],
    ["no weight", { endpoints: [{ url: URL_A, weight: 0 }] }, ">=0.01"],
    [
      "a secret",
      { endpoints: [{ url: URL_A, headers: { Authorization: "Bearer x" } }] },
      "must not hold a secret",
    ],
    [
      "a secret by another name",
      { endpoints: [{ url: URL_A, headers: { "X-Api-Key": "x" } }] },
      "must not hold a secret",
    ],
    [
      "a header of the transport",
      { endpoints: [{ url: URL_A, headers: { "Transfer-Encoding": "chunked" } }] },
      "header of the transport",
    ],
    [
      "a line break in a header",
      { endpoints: [{ url: URL_A, headers: { "x-team": "a\r\nx: y" } }] },
      "printable ASCII",
    ],
    ["a budget above 1", { retry: { budget: 1.5 } }, "<=1"],
    ["a word that it doesn't know", { timeoutMS: 5 }, "timeoutMS"],
  ])("refuses %s", (_, change, problem) => {
    expect(problemsOf(poolWith(change))).toContain(problem);
  });

  it("lets a private address through when the pool says so", () => {
    const pool = poolWith({ endpoints: [{ url: "http://127.0.0.1:8000" }], allowPrivate: true });
    expect(problemsOf(pool)).toBe("");
  });
});
