import { describe, expect, it } from "vitest";

import { MAX_HELD_BYTES } from "../../../src/origin/request-body.ts";
import { createVerifier } from "../../../src/origin/verify.ts";
import { ReplayGuard } from "../../../src/origin/replay-guard.ts";
import {
  ENDPOINTS,
  answer as answerOf,
  hanging,
  json,
  originOf,
  status,
} from "../../support/origin-worker.ts";
import { PUBLIC_KEY } from "../../origin/signed.ts";

const codeOf = async (response: Response): Promise<unknown> =>
  ((await response.json()) as { code: string }).code;

describe("forwarding", () => {
  it("passes path, query and body on, and the answer back, with what it took", async () => {
    const { ask, sent } = originOf();
    const response = await ask({}, {}, "/pools/gpu/v2/models/m/infer?trace=1");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ from: expect.stringMatching(/^[abcd]$/) });
    expect(response.headers.get("nearside-attempts")).toBe("1");
    expect(response.headers.get("nearside-hedged")).toBe("false");
    expect(response.headers.get("nearside-endpoint-ms")).toMatch(/^\d+$/);
    expect(new URL(sent[0]?.url ?? "").pathname).toBe("/v2/models/m/infer");
    expect(new URL(sent[0]?.url ?? "").search).toBe("?trace=1");
    expect(await sent[0]?.text()).toBe('{"inputs":[]}');
  });

  it("passes on only the headers that the protocol needs, and the deadline", async () => {
    const { ask, sent } = originOf({ sign: true });
    const deadline = `${Date.now() + 5_000}`;
    await ask({
      authorization: "Bearer secret",
      cookie: "a=b",
      "x-forwarded-for": "192.0.2.1",
      accept: "application/json",
      "inference-header-content-length": "13",
      "nearside-deadline": deadline,
      "nearside-priority": "1",
      "nearside-request-id": "request-1",
    });
    const headers = Object.fromEntries(sent[0]?.headers ?? []);
    expect(Object.keys(headers).toSorted()).toEqual([
      "accept",
      "accept-encoding",
      "content-digest",
      "content-type",
      "inference-header-content-length",
      "nearside-deadline",
      "nearside-hop",
      "nearside-request-id",
      "signature",
      "signature-input",
    ]);
    expect(headers).toMatchObject({ "nearside-deadline": deadline, "nearside-hop": "1" });
  });

  it("passes back no header that an endpoint has no say in", async () => {
    const endpoint = async () =>
      answerOf("a", {
        headers: { "set-cookie": "a=b", "nearside-cost": "0", server: "x", "x-a": "b" },
      });
    const { ask } = originOf({ endpoints: { a: endpoint, b: endpoint, c: endpoint, d: endpoint } });
    const names = [...(await ask()).headers.keys()];
    expect(names.filter((name) => !name.startsWith("nearside-"))).toEqual(["content-type"]);
    expect(names).not.toContain("nearside-cost");
  });

  it("signs what it sends, so that the verifier accepts each attempt once", async () => {
    const { ask, sent } = originOf({ endpoints: { a: status(503), b: status(503) } });
    for (let request = 0; request < 4; request++) await ask();
    const verify = createVerifier({
      keys: new Map([["edge-1", PUBLIC_KEY]]),
      now: Date.now,
      replay: new ReplayGuard(),
      authorities: ENDPOINTS.map((url) => new URL(url).host),
    });
    for (const request of sent) {
      const body = new Uint8Array(await request.clone().arrayBuffer());
      const { method, url, headers } = request;
      expect(await verify({ method, url, headers, body })).toMatchObject({ ok: true });
    }
  });

  it("sends nothing unsigned to a pool that wants signatures", async () => {
    const { ask, sent } = originOf({ sign: false });
    expect(await codeOf(await ask())).toBe("internal");
    expect(sent).toEqual([]);
  });

  it("knows a model by the name that an endpoint gives it", async () => {
    const openai = originOf({
      pool: {
        protocol: "openai",
        endpoints: [{ url: "https://a.example.com/v1", model: "org/model-7b" }],
      },
    });
    openai.context.fetch = async (request) => {
      openai.sent.push(request);
      return json({ choices: [] });
    };
    await openai.ask({}, { body: '{"model":"m","n":1}' }, "/pools/gpu/v1/chat/completions");
    expect(openai.sent[0]?.url).toBe("https://a.example.com/v1/chat/completions");
    expect(await openai.sent[0]?.json()).toEqual({ model: "org/model-7b", n: 1 });
    const triton = originOf({
      pool: { endpoints: [{ url: "https://a.example.com", model: "m 2" }] },
    });
    await triton.ask();
    expect(triton.sent[0]?.url).toBe("https://a.example.com/v2/models/m%202/infer");
  });

  it.each([
    ["a pool that is not there", "/pools/other/v2/models/m/infer", "pool_not_found"],
    ["one of the language's own names", "/pools/__proto__/v2/models/m/infer", "pool_not_found"],
    ["a path of no protocol", "/pools/gpu/admin", "route_not_found"],
    ["what only an engine's operator may do", "/pools/gpu/v2/models/m/unload", "route_not_found"],
    ["the way out of its path", "/pools/gpu/v2/models/%2e%2e/infer", "route_not_found"],
    ["another protocol than the pool's", "/pools/gpu/v1/completions", "route_not_found"],
    ["no pool", "/v2/models/m/infer", "route_not_found"],
  ])("refuses %s", async (_, path, code) => {
    const { ask, sent } = originOf();
    expect(await codeOf(await ask({}, {}, path))).toBe(code);
    expect(sent).toEqual([]);
  });

  it("never asks a private address that the pool does not allow", async () => {
    const { ask, sent, isolate } = originOf();
    const catalog = await isolate.catalog.get({ now: Date.now, waitUntil: () => {} });
    const pool = catalog.pools?.["gpu"];
    pool?.endpoints.splice(0, 4, { url: "http://169.254.169.254", weight: 1 });
    expect(await codeOf(await ask())).toBe("origin_unavailable");
    expect(sent).toEqual([]);
  });

  it("shows an endpoint the credentials that its pool names, and no other", async () => {
    const { ask, sent } = originOf({
      pool: {
        endpoints: [
          { url: "https://a.example.com", secretRef: "ORIGIN_SECRET_A" },
          { url: "https://b.example.com" },
        ],
      },
      secrets: { ORIGIN_SECRET_A: "hunter2" },
    });
    for (let request = 0; request < 20; request++) expect((await ask()).status).toBe(200);
    const shown = (name: string) =>
      new Set(
        sent.flatMap(({ url, headers }) =>
          url.includes(name) ? [headers.get("authorization")] : [],
        ),
      );
    expect(shown("//a.")).toEqual(new Set(["Bearer hunter2"]));
    expect(shown("//b.")).toEqual(new Set([null]));
  });

  it("does not ask an endpoint whose credentials are missing", async () => {
    const { ask, sent, logged } = originOf({
      pool: { endpoints: [{ url: "https://a.example.com", secretRef: "ORIGIN_SECRET_A" }] },
    });
    expect(await codeOf(await ask({ "nearside-idempotent": "false" }))).toBe("origin_failed");
    expect(sent).toEqual([]);
    expect(logged).toMatchObject([{ event: "forward_failed", reason: "no_secret" }]);
  });

  it.each([400, 413, 415, 422])("tells of a refusal (%i) without its words", async (code) => {
    const refuse = status(code);
    const endpoints = { a: refuse, b: refuse, c: refuse, d: refuse };
    const { ask, sent, counters } = originOf({ endpoints });
    const response = await ask();
    expect(response.status).toBe(422);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: "origin_rejected" });
    expect(text).not.toContain("secret");
    expect(sent.length).toBe(2);
    expect(counters()).toMatchObject({ rejected: 1, failed: 0 });
  });
});

describe("a request's body", () => {
  const large = () => new Uint8Array(MAX_HELD_BYTES + 1);
  const lengthless = (bytes: Uint8Array) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 1 << 20) {
          controller.enqueue(bytes.slice(at, at + (1 << 20)));
        }
        controller.close();
      },
    });

  it("without a length is held and signed all the same", async () => {
    const { ask, sent } = originOf();
    expect((await ask({}, { body: lengthless(new Uint8Array(3)) })).status).toBe(200);
    expect((await sent[0]?.arrayBuffer())?.byteLength).toBe(3);
  });

  it.each([
    ["with a length", () => large()],
    ["without one", () => lengthless(large())],
  ])("that is too large to be signed is refused, %s", async (_, body) => {
    const { ask, sent, counters } = originOf();
    expect(await codeOf(await ask({}, { body: body() }))).toBe("body_too_large");
    expect(sent).toEqual([]);
    expect(counters()?.inFlight).toBe(0);
  });

  it("that is large passes through once where nothing is signed, and is never retried", async () => {
    let asked = 0;
    const taking = async (request: Request): Promise<Response> => {
      asked++;
      await request.arrayBuffer();
      return new Response(null, { status: 503 });
    };
    const endpoints = { a: taking, b: taking, c: taking, d: taking };
    const { ask } = originOf({ endpoints, pool: { sign: false } });
    const response = await ask({}, { body: lengthless(large()) });
    expect(await codeOf(response)).toBe("origin_unavailable");
    expect(asked).toBe(1);
  });
});

describe("admission", () => {
  it("refuses what neither fits nor may wait, and says when to come back", async () => {
    const { ask, counters } = originOf({
      endpoints: { a: hanging, b: hanging, c: hanging, d: hanging },
      pool: { maxInFlight: 1, queue: { length: 0 }, timeoutMs: 100, retry: { budget: 0 } },
    });
    const first = ask();
    const refused = await ask();
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await codeOf(refused)).toBe("origin_overloaded");
    expect(await codeOf(await first)).toBe("origin_timeout");
    expect(counters()).toMatchObject({ refused: 1, inFlight: 0, waiting: 0 });
  });

  it("lets nobody who is refused earn retries for the pool", async () => {
    const { ask, isolate, counters } = originOf({
      endpoints: { a: hanging, b: hanging, c: hanging, d: hanging },
      pool: { maxInFlight: 1, queue: { length: 0 }, retry: { budget: 1 } },
    });
    const caller = new AbortController();
    const first = ask({}, { signal: caller.signal });
    await expect.poll(() => counters()?.inFlight).toBe(1);
    for (let request = 0; request < 50; request++) await ask();
    expect(counters()?.refused).toBe(50);
    const context = { now: Date.now, waitUntil: () => {} };
    const catalog = await isolate.catalog.get(context);
    const { budget } = isolate.pools.of("gpu", catalog, isolate.health.get(context));
    // What an isolate begins with, and the one that was let in.
    expect(budget.retriesAllowed(Date.now())).toBeLessThanOrEqual(14);
    caller.abort();
    await first;
  });

  it("lets the next one in when an answer is over", async () => {
    const { ask } = originOf({ pool: { maxInFlight: 1 } });
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask()));
    expect(answers.map((answer) => answer.status)).toEqual(Array(8).fill(200));
  });
});

describe("the time that an endpoint has", () => {
  interface Asked {
    readonly headers?: Record<string, string>;
    readonly pool?: Record<string, unknown>;
    readonly path?: string;
  }
  /** Of the first attempt, while the caller has so long. */
  async function timeOf(leftMs: number, { headers = {}, pool = {}, path }: Asked): Promise<number> {
    const { ask, context } = originOf({ pool: { hedge: false, ...pool } });
    const now = Date.now();
    const times: number[] = [];
    const { clock } = context;
    const after: typeof clock.after = (milliseconds, callback) => {
      times.push(milliseconds);
      return clock.after(milliseconds, callback);
    };
    Object.assign(context, { now: () => now, clock: { ...clock, after } });
    await ask({ "nearside-deadline": `${now + leftMs}`, ...headers }, {}, path);
    return times[0] ?? 0;
  }
  const ONE = { endpoints: [{ url: "https://d.example.com" }] };
  const ONCE = { "nearside-idempotent": "false" };
  const TEXT = { pool: { protocol: "openai" }, path: "/pools/gpu/v1/completions" };

  it.each<[string, number, Asked, number]>([
    ["is the pool's", 30_000, {}, 10_000],
    ["is half of what is left, where another can be asked", 4_000, {}, 2_000],
    ["is all that is left, where there is no other", 4_000, { pool: ONE }, 4_000],
    ["is all that is left of what must not run twice", 4_000, { headers: ONCE }, 4_000],
    [
      "is the pool's for a text that is streamed",
      30_000,
      { ...TEXT, headers: { ...ONCE, accept: "text/event-stream" } },
      10_000,
    ],
    [
      "is what is left for a text that is told at its end",
      30_000,
      { ...TEXT, headers: ONCE },
      30_000,
    ],
  ])("%s", async (_, leftMs, asked, expected) => {
    expect(await timeOf(leftMs, asked)).toBe(expected);
  });
});
