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
      timeoutMs: 10_000,
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
        { url: "https://b.example.com", weight: 1, secretRef: "ORIGIN_SECRET_GPU_2" },
      ],
      timeoutMs: 5_000,
      idleMs: 2_000,
      maxInFlight: 8,
      queue: { length: 0, waitMs: 100 },
      retry: { budget: 0 },
      hedge: false,
      allowPrivate: false,
      sign: false,
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
    ["a space in an address", { endpoints: [{ url: "https://x.example.com/a b" }] }, "no spaces"],
    ["a space before it", { endpoints: [{ url: " https://x.example.com" }] }, "no spaces"],
    ["a tab in it", { endpoints: [{ url: "https://x.exam\tple.com" }] }, "no spaces"],
    ["an endless one", { endpoints: [{ url: `${URL_A}/${"a".repeat(2_048)}` }] }, "<=2048"],
    [
      "a secret's value",
      { endpoints: [{ url: URL_A, secretRef: "hunter2" }] },
      "must name a secret",
    ],
    ["the signing key", { endpoints: [{ url: URL_A, secretRef: "SIGNING_KEY" }] }, "must name"],
    [
      "a secret sent in the clear",
      { endpoints: [{ url: "http://x.example.com", secretRef: "ORIGIN_SECRET_A" }] },
      "use https",
    ],
    [
      "a hundred headers",
      {
        endpoints: [
          {
            url: URL_A,
            headers: Object.fromEntries([...Array(100).keys()].map((at) => [`x-${at}`, ""])),
          },
        ],
      },
      "16 at most",
    ],
    ["health, which only the cron tells", { health: {} }, "health"],
    ["a time-out of an hour", { timeoutMs: 3_600_000 }, "<=600000"],
    ["silence for an hour", { idleMs: 3_600_000 }, "<=600000"],
    ["more than an isolate can hold", { maxInFlight: 10_000 }, "<=1024"],
    ["a queue without an end", { queue: { length: 10_000 } }, "<=1024"],
    ["a wait without an end", { queue: { waitMs: 600_000 } }, "<=60000"],
    ["a budget above 1", { retry: { budget: 1.5 } }, "<=1"],
    ["a word that it doesn't know", { timeoutMS: 5 }, "timeoutMS"],
  ])("refuses %s", (_, change, problem) => {
    expect(problemsOf(poolWith(change))).toContain(problem);
  });

  it.each([
    "Nearside-Request-Id",
    "nearside-hop",
    "CF-Connecting-IP",
    "Accept",
    "accept-encoding",
    "inference-header-content-length",
    "content-encoding",
    "X-Forwarded-For",
    "Signature",
  ])("refuses the header %s, which is not the operator's to set", (name) => {
    const endpoints = [{ url: URL_A, headers: { [name]: "1" } }];
    expect(problemsOf(poolWith({ endpoints }))).toContain("one that Nearside sets");
  });

  it.each([
    ["X-Auth-Token", "1"],
    ["x-api-key", "1"],
    ["Ocp-Apim-Subscription-Key", "1"],
    ["x-credential", "1"],
    ["x-session", "1"],
    ["x-team", "Bearer abc"],
    ["x-team", "Basic YTpi"],
    ["x-team", "sk-proj-1234"],
    ["x-team", "eyJhbGciOiJFZERTQSJ9.e30.c2ln"],
  ])("takes %s: %s for a secret", (name, value) => {
    const endpoints = [{ url: URL_A, headers: { [name]: value } }];
    expect(problemsOf(poolWith({ endpoints }))).toContain("must not hold a secret");
  });

  it.each([
    ["https://x.example.com/", "https://x.example.com"],
    ["HTTPS://X.Example.com:443/v1/", "https://x.example.com/v1"],
    ["https://x.example.com/a/../v1", "https://x.example.com/v1"],
    ["https://x.example.com\\v1", "https://x.example.com/v1"],
  ])("writes %s in one way: %s", (url, expected) => {
    const { endpoints } = v.parse(OriginPool, poolWith({ endpoints: [{ url }] }));
    expect(endpoints[0]?.url).toBe(expected);
  });

  it("lets a private address through when the pool says so", () => {
    const pool = poolWith({ endpoints: [{ url: "http://127.0.0.1:8000" }], allowPrivate: true });
    expect(problemsOf(pool)).toBe("");
  });
});
