import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { edgeOf } from "../../support/edge.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { TABULAR_TASK, putVersions, tabularGraph } from "./models.ts";

const GET_ROUTES = [
  "/",
  "/v2",
  "/v2/health/live",
  "/v2/health/ready",
  "/v2/models/shape",
  "/v2/models/shape/ready",
  "/v2/models/shape/versions/1",
  "/v2/models/shape/versions/stable/ready",
];
const POST_ROUTES = [
  "/v1/predict/shape",
  "/v1/predict/shape/versions/1",
  "/v2/models/shape/infer",
  "/v2/models/shape/versions/stable/infer",
];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "PURGE"];

const EXPOSED = [
  "nearside-model",
  "nearside-version",
  "nearside-start",
  "nearside-catalog",
  "nearside-reason",
  "nearside-flag",
  "nearside-variant",
  "nearside-placement",
  "nearside-placement-reason",
  "nearside-endpoint-ms",
  "nearside-attempts",
  "nearside-hedged",
  "nearside-cost",
  "nearside-receipt",
  "x-litellm-response-cost",
  "idempotent-replayed",
  "ratelimit",
  "ratelimit-policy",
  "www-authenticate",
  "inference-header-content-length",
  "server-timing",
  "x-request-id",
  "retry-after",
];

const edge = edgeOf();

const predict = (init: RequestInit = {}): Promise<Response> =>
  edge.send("/v1/predict/shape", {
    method: "POST",
    body: '{"inputs":[3,1]}',
    ...init,
    headers: { "content-type": "application/json", ...init.headers },
  });

const list = (header: string | null): string[] =>
  (header ?? "").split(",").map((item) => item.trim());

beforeAll(async () => {
  await putVersions(env.CATALOG, [
    await publishGraph(env.MODELS, "shape", tabularGraph(), { task: TABULAR_TASK }),
  ]);
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("HEAD", () => {
  it.each(GET_ROUTES)("of %s has GET's status and headers, and no body", async (path) => {
    const headers = { "x-request-id": "the-same" };
    const got = await edge.send(path, { headers });
    const head = await edge.send(path, { method: "HEAD", headers });
    expect(got.status).toBe(200);
    expect(got.headers.get("content-type")).toBe("application/json");
    expect(head.status).toBe(200);
    expect([...head.headers]).toEqual([...got.headers]);
    expect(await got.json()).toBeTypeOf("object");
    expect(head.body).toBeNull();
  });

  it.each(["/nothing", "/v2/models/nothing", "/v2/models/shape/versions/7/ready"])(
    "of %s has the error's status and headers, and no body",
    async (path) => {
      const headers = { "x-request-id": "the-same" };
      const got = await edge.send(path, { headers });
      const head = await edge.send(path, { method: "HEAD", headers });
      expect(head.status).toBe(404);
      expect([...head.headers]).toEqual([...got.headers]);
      expect(head.body).toBeNull();
    },
  );

  it.each(POST_ROUTES)("of %s is refused without a body", async (path) => {
    const head = await edge.send(path, { method: "HEAD" });
    expect([head.status, head.headers.get("allow"), head.body]).toEqual([
      405,
      "POST, OPTIONS",
      null,
    ]);
  });
});

describe("a method that a path does not take", () => {
  const wrong: (readonly [string, readonly string[]])[] = [
    ...GET_ROUTES.map((path) => [path, ["GET", "HEAD", "OPTIONS"]] as const),
    ...POST_ROUTES.map((path) => [path, ["POST", "OPTIONS"]] as const),
  ];

  it.each(wrong)("is refused by %s, which allows %j", async (path, allowed) => {
    for (const method of METHODS.filter((one) => !allowed.includes(one))) {
      const response = await edge.send(path, { method });
      expect(response.status).toBe(405);
      expect(list(response.headers.get("allow"))).toEqual(allowed);
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      if (method === "HEAD") continue;
      const problem = await response.json<{ code: string; detail: string; error?: string }>();
      expect(problem.code).toBe("method_not_allowed");
      expect(problem.detail).toContain(method);
      expect(problem.error).toBe(path.startsWith("/v2") ? problem.detail : undefined);
    }
  });

  it.each(METHODS)("changes nothing about a path that is not there: %s", async (method) => {
    const response = await edge.send("/v3", { method });
    expect([response.status, response.headers.get("allow")]).toEqual([404, null]);
  });
});

describe("OPTIONS", () => {
  it.each([...GET_ROUTES, ...POST_ROUTES])("of %s answers a browser's preflight", async (path) => {
    const response = await edge.send(path, {
      method: "OPTIONS",
      headers: {
        origin: "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type, x-request-id",
      },
    });
    const { headers } = response;
    const methods = POST_ROUTES.includes(path) ? ["POST"] : ["GET", "HEAD"];
    expect(response.status).toBe(204);
    expect(response.body).toBeNull();
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(list(headers.get("access-control-allow-methods"))).toEqual([...methods, "OPTIONS"]);
    expect(headers.get("access-control-allow-headers")).toBe(
      "authorization, content-type, x-request-id",
    );
    expect(headers.get("access-control-max-age")).toBe("7200");
    expect(headers.get("vary")).toBe("access-control-request-headers");
    expect(headers.get("access-control-allow-credentials")).toBeNull();
  });

  it("without a preflight's headers tells the methods, and nothing of CORS but the origin", async () => {
    const { status, headers } = await edge.send("/v2", { method: "OPTIONS" });
    expect([status, headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("access-control-allow-methods")).toBeNull();
    expect(headers.get("access-control-max-age")).toBeNull();
  });

  it("needs no catalog", async () => {
    const { calls, send } = edgeOf();
    expect((await send("/v1/predict/any", { method: "OPTIONS" })).status).toBe(204);
    expect(calls).toEqual([]);
  });

  it("of a path that is not there is a 404", async () => {
    const response = await edge.send("/nothing", { method: "OPTIONS" });
    expect(response.status).toBe(404);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
  });
});

describe("what every answer carries", () => {
  it.each([
    ["success", () => predict()],
    ["metadata", () => edge.send("/v2")],
    ["invalid input", () => predict({ body: "{" })],
    ["a wrong content type", () => predict({ headers: { "content-type": "image/png" } })],
    ["an unknown model", () => edge.send("/v2/models/nothing")],
    ["an unknown path", () => edge.send("/nothing")],
    ["a wrong method", () => edge.send("/v2", { method: "DELETE" })],
    ["a preflight", () => edge.send("/v2", { method: "OPTIONS" })],
    ["no catalog", () => edgeOf({ CATALOG: noCatalog }).send("/v2/health/ready")],
  ])("is open to every origin: %s", async (_name, request) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { headers } = await request();
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(list(headers.get("access-control-expose-headers"))).toEqual(EXPOSED);
    expect(headers.get("timing-allow-origin")).toBe("*");
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get("set-cookie")).toBeNull();
  });

  const noCatalog = { get: () => Promise.resolve(null) } as unknown as KVNamespace;

  it("exposes every header of its own that it sends", async () => {
    const own = [...(await predict()).headers.keys()].filter(
      (name) => name.startsWith("nearside-") || name === "server-timing" || name.startsWith("x-"),
    );
    expect(own).toHaveLength(9);
    expect(EXPOSED).toEqual(expect.arrayContaining(own));
  });

  it.each([
    "a",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "Root=1-67891233-abcdef012345678912345678",
    "req_01/AB+C=:x.y-z",
    "x".repeat(128),
  ])("takes over the request id %s", async (id) => {
    const response = await edge.send("/nothing", { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toBe(id);
    expect(await response.json()).toMatchObject({ requestId: id });
  });

  it.each([
    "",
    " ",
    "two words",
    "one, two",
    "x".repeat(129),
    '"quoted"',
    "<script>",
    "a\tb",
    "{}",
    "%0d%0a",
    "a;b",
  ])("replaces the request id %j", async (id) => {
    const response = await edge.send("/nothing", { headers: { "x-request-id": id } });
    const given = response.headers.get("x-request-id");
    expect(given).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(await response.json()).toMatchObject({ requestId: given });
  });

  it("makes a new request id for every request", async () => {
    const ids = await Promise.all(
      Array.from({ length: 50 }, async () => (await edge.send("/v2")).headers.get("x-request-id")),
    );
    expect(new Set(ids).size).toBe(50);
  });

  it("names model, version and start, and calls the second request warm", async () => {
    const { send } = edgeOf();
    const starts: (string | null)[] = [];
    for (let index = 0; index < 3; index++) {
      const { headers } = await send("/v1/predict/shape/versions/stable", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"inputs":[3,1]}',
      });
      expect([headers.get("nearside-model"), headers.get("nearside-version")]).toEqual([
        "shape",
        "1",
      ]);
      starts.push(headers.get("nearside-start"));
    }
    expect(starts).toEqual(["loaded", "warm", "warm"]);
  });
});

describe("Server-Timing", () => {
  const names = (header: string | null): string[] =>
    parseServerTiming(header ?? "").map(({ name, params }) => {
      expect([...params.keys()]).toEqual(["dur"]);
      expect(Number(params.get("dur"))).toBeGreaterThanOrEqual(0);
      return name;
    });

  it("tells the phases of a request in their order, loading only where there was some", async () => {
    const { send } = edgeOf();
    const init = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"inputs":[3,1]}',
    };
    const loaded = names((await send("/v1/predict/shape", init)).headers.get("server-timing"));
    const warm = names((await send("/v1/predict/shape", init)).headers.get("server-timing"));
    expect(warm).toEqual(["catalog", "decode", "infer", "encode"]);
    expect(loaded).toContain("load");
    expect(loaded.filter((name) => warm.includes(name))).toEqual(warm);
  });

  it("tells how far a request came that failed", async () => {
    const { headers } = await predict({ body: "{" });
    expect(names(headers.get("server-timing"))).toEqual(["catalog", "decode"]);
  });

  it("is left out where nothing was timed", async () => {
    expect((await edge.send("/nothing")).headers.get("server-timing")).toBeNull();
  });
});

describe("a path", () => {
  it.each([
    ["/v2/", 200],
    ["/v2//", 200],
    ["/v2/health/live/", 200],
    ["/v2?x=1&x=2&__proto__=3", 200],
    ["/v2#fragment", 200],
    ["/v2/models/%2e%2e/health/live", 200],
    ["/v2/models/../health/live", 200],
    ["/nothing/%2E%2E/%2e/v2", 200],
    ["/../../../../v2", 200],
    ["/v2\\health\\live", 200],
    ["//", 200],
    ["//v2", 404],
    ["/v2//health/live", 404],
    ["/v2/health//live", 404],
    ["/V2", 404],
    ["/v2.", 404],
    ["/v2/models", 404],
    ["/v2/models/", 404],
    ["/v2/models//ready", 404],
    ["/v2/models/shape/versions", 404],
    ["/v2/models/shape/versions/", 404],
    ["/v2/models/shape/versions//ready", 404],
    ["/v2/models/shape/anything", 404],
    ["/v2/models/shape/ready/more", 404],
    ["/v2/models/sh%61pe", 200],
    ["/v2/models/shape%2fready", 404],
    ["/v2/models/..%2f..%2fcatalog", 404],
    ["/v2/models/shape%00", 404],
    ["/v2/models/%E0%A4%A", 404],
    ["/v2/models/%", 404],
    ["/v2/models/%ff%fe", 404],
    ["/v2/models/日本", 404],
    ["/v2/models/$1", 404],
    ["/v2/models/.*", 404],
    ["/v2/models/:model", 404],
    ["/*", 404],
    ["/v1/predict", 404],
    ["/favicon.ico", 404],
    ["/.env", 404],
  ])("%s is answered %i", async (path, status) => {
    const response = await edge.send(path);
    expect(response.status).toBe(status);
    const { code } = await response.json<{ code?: string }>();
    expect(status === 404).toBe(code === "route_not_found" || code === "model_not_found");
  });

  it.each([
    ["/v2", "application/json"],
    ["/v2/nothing", "application/json"],
    ["/v2x", "application/problem+json"],
    ["/v22/models/shape", "application/problem+json"],
    ["/x/v2", "application/problem+json"],
  ])("%s has errors of the type %s", async (path, type) => {
    const response = await edge.send(path, { method: "DELETE" });
    expect(response.headers.get("content-type")).toBe(type);
    expect("error" in (await response.json<object>())).toBe(type === "application/json");
  });

  it.each([
    ["a long name", `/v2/models/${"x".repeat(100_000)}`],
    ["many segments", `/v2${"/x".repeat(50_000)}`],
    ["many slashes", `/v2/models/shape${"/".repeat(100_000)}x`],
    ["many escapes", `/v2/models/${"%2e".repeat(30_000)}`],
    ["a long query", `/nothing?${"a=1&".repeat(4_000)}`],
  ])("may be long: %s", async (_name, path) => {
    const started = performance.now();
    expect((await edge.send(path)).status).toBe(404);
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it("is never the cause of a failure of ours", async () => {
    const part = fc.oneof(
      fc.constantFrom("v1", "v2", "models", "shape", "versions", "1", "infer", "ready", "predict"),
      fc.constantFrom("", ".", "..", "%2e", "%", "%00", "%ff", "__proto__", "constructor", "*"),
      fc.string({ unit: "binary", maxLength: 6 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { maxLength: 7 }),
        fc.constantFrom(...METHODS, "OPTIONS"),
        async (parts, method) => {
          const { status, headers } = await edge.send(`/${parts.join("/")}`, { method });
          expect(status).toBeLessThan(500);
          expect(headers.get("access-control-allow-origin")).toBe("*");
          expect(headers.has("allow")).toBe(
            status === 405 || (method === "OPTIONS" && status === 204),
          );
        },
      ),
      { numRuns: 100 },
    );
  });
});

interface ServerTimingMetric {
  readonly name: string;
  readonly params: ReadonlyMap<string, string>;
}

/** https://www.w3.org/TR/server-timing/#the-server-timing-header-field, with RFC 9110's token and quoted-string. */
function parseServerTiming(header: string): ServerTimingMetric[] {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  const quoted = String.raw`"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"`;
  const param = `[ \\t]*;[ \\t]*(${token})[ \\t]*=[ \\t]*(${token}|${quoted})`;
  const metric = new RegExp(`^(${token})((?:${param})*)$`);
  return header.split(/[ \t]*,[ \t]*/).map((text) => {
    const [, name, params = ""] = metric.exec(text) ?? [];
    if (name === undefined) throw new SyntaxError(`"${text}" is no server-timing-metric.`);
    const pairs = [...params.matchAll(new RegExp(param, "g"))];
    return { name, params: new Map(pairs.map(([, key = "", value = ""]) => [key, value])) };
  });
}
