import { describe, expect, it } from "vitest";

import {
  type Endpoint,
  answer,
  hanging,
  json,
  originOf,
  status,
  streamed,
} from "../../support/origin-worker.ts";

const broken: Endpoint = () => Promise.reject(new Error("Network connection lost."));
const GOOD = { from: "good", outputs: [] };
const good: Endpoint = () => Promise.resolve(json(GOOD));
const cutOff: Endpoint = () => {
  const { response, write, fail } = streamed({ "content-type": "application/json" });
  write('{"from":');
  queueMicrotask(fail);
  return Promise.resolve(response);
};
const corrupt: Endpoint = () =>
  Promise.resolve(
    new Response('{"from":', { headers: { "content-type": "application/json; charset=utf-8" } }),
  );
const missingTensor: Endpoint = () => {
  const header = JSON.stringify({
    outputs: [{ name: "y", parameters: { binary_data_size: 8 } }],
  });
  return Promise.resolve(
    new Response(`${header}1234567`, {
      headers: {
        "content-type": "application/octet-stream",
        "inference-header-content-length": `${header.length}`,
      },
    }),
  );
};
const saying =
  (text: string | null, type = "application/json", code = 200): Endpoint =>
  () =>
    Promise.resolve(new Response(text, { status: code, headers: { "content-type": type } }));
const moved: Endpoint = () =>
  Promise.resolve(new Response(null, { status: 302, headers: { location: "http://10.0.0.1/" } }));

const codeOf = async (response: Response): Promise<unknown> =>
  ((await response.json()) as { code: string }).code;
const all = (endpoint: Endpoint) => ({ a: endpoint, b: endpoint, c: endpoint, d: endpoint });
const but = (endpoint: Endpoint) => ({ ...all(endpoint), d: good });
/** Where an answer takes longer than a failure, chance does not keep requests from those that fail. */
function failing(endpoints: Record<string, Endpoint>, pool: Record<string, unknown> = {}) {
  const origin = originOf({ endpoints, pool });
  for (const name of ["c", "d"]) {
    endpoints[name] = (...words) => {
      origin.pass(2);
      return good(...words);
    };
  }
  return origin;
}
const NOT_IDEMPOTENT = { "nearside-idempotent": "false" };

describe("a request of which one endpoint makes a mess", () => {
  it.each([
    ["refuses the connection", broken, "origin_unavailable", 503],
    ["answers 502", status(502), "origin_unavailable", 503],
    ["answers 503", status(503), "origin_unavailable", 503],
    ["answers 504", status(504), "origin_timeout", 504],
    ["answers 500", status(500), "origin_failed", 502],
    ["does not accept the signature", status(401), "origin_failed", 502],
    ["has too much to do", status(429), "origin_overloaded", 503],
    ["points elsewhere", moved, "origin_failed", 502],
    ["breaks off", cutOff, "origin_failed", 502],
    ["answers half of the JSON", corrupt, "origin_failed", 502],
    ["leaves out part of a tensor", missingTensor, "origin_failed", 502],
    ["apologises with 200", saying('{"error":"out of memory"}'), "origin_failed", 502],
    ["answers another protocol's JSON", saying('{"choices":[]}'), "origin_failed", 502],
    ["shows a page", saying("<!doctype html>", "text/html"), "origin_failed", 502],
    ["says nothing", saying(""), "origin_failed", 502],
    ["has no content", saying(null, "application/json", 204), "origin_failed", 502],
    ["has not got the model", status(404), "origin_failed", 502],
    ["knows no such method", status(405), "origin_failed", 502],
    ["got the request too slowly", status(408), "origin_failed", 502],
    ["is another host", status(421), "origin_failed", 502],
    ["got it too early", status(425), "origin_failed", 502],
  ])("is answered by another when it %s", async (_, endpoint, code, problemStatus) => {
    for (let request = 0; request < 3; request++) {
      const { ask } = originOf({ endpoints: but(endpoint) });
      const response = await ask();
      expect(await response.json()).toEqual(GOOD);
    }
    const { ask, counters } = originOf({ endpoints: all(endpoint) });
    const response = await ask();
    expect(response.status).toBe(problemStatus);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code });
    expect(text).not.toContain("secret");
    expect(counters()).toMatchObject({ failed: 1, attempts: 4, retries: 3, inFlight: 0 });
  });

  it("is asked again elsewhere when an endpoint takes too long", async () => {
    const { ask } = originOf({ endpoints: but(hanging), pool: { timeoutMs: 20 } });
    expect(await (await ask()).json()).toEqual(GOOD);
  });

  it("leaves half of the caller's time for another endpoint, and blames nobody for that", async () => {
    const { ask, counters, sent, logged } = originOf({ endpoints: but(hanging) });
    for (let request = 0; request < 8; request++) {
      await ask({ "nearside-deadline": `${Date.now() + 60}` });
    }
    expect(sent.length).toBeGreaterThan(8);
    expect(counters()?.endpoints.every(({ standing }) => standing === "closed")).toBe(true);
    expect(logged.filter(({ event }) => event === "endpoint_ejected")).toEqual([]);
  });

  it("comes back to the only endpoint there is, but not with what that can't answer", async () => {
    let asked = 0;
    const second =
      (first: Endpoint): Endpoint =>
      (...words) =>
        (asked++ === 0 ? first : good)(...words);
    const pool = { endpoints: [{ url: "https://a.example.com" }] };
    expect((await originOf({ pool, endpoints: { a: second(broken) } }).ask()).status).toBe(200);
    asked = 0;
    expect((await originOf({ pool, endpoints: { a: second(status(500)) } }).ask()).status).toBe(
      502,
    );
    expect(asked).toBe(1);
  });
});

describe("a retry", () => {
  it.each([
    ["a connection that broke", broken, 1],
    ["500", status(500), 1],
    ["an answer that is none", saying("{}"), 1],
    ["a time-out", hanging, 1],
    ["503, because nothing was done", status(503), 4],
    ["404, because nothing was done", status(404), 4],
    ["a body that broke off", cutOff, 1],
    ["429, because nothing was done", status(429), 4],
    ["401, because nothing was done", status(401), 4],
    ["Cloudflare's word that it never connected", status(521), 4],
  ])("of what must not run twice, after %s", async (_, endpoint, attempts) => {
    const { ask, sent } = originOf({ endpoints: all(endpoint) });
    const deadline = endpoint === hanging ? { "nearside-deadline": `${Date.now() + 50}` } : {};
    expect((await ask({ ...NOT_IDEMPOTENT, ...deadline })).status).toBeGreaterThanOrEqual(500);
    expect(sent.length).toBe(attempts);
  });

  it("waits for as long as the only endpoint asks, if that is short", async () => {
    const pool = { endpoints: [{ url: "https://a.example.com" }] };
    let asked = 0;
    const busy: Endpoint = (...words) =>
      (asked++ === 0 ? status(429, { "retry-after": "1" }) : good)(...words);
    const started = Date.now();
    expect((await originOf({ pool, endpoints: { a: busy } }).ask()).status).toBe(200);
    expect(Date.now() - started).toBeGreaterThanOrEqual(990);
    const long = originOf({ pool, endpoints: { a: status(429, { "retry-after": "60" }) } });
    const refused = await long.ask();
    expect(refused.headers.get("retry-after")).toBe("60");
    expect(await codeOf(refused)).toBe("origin_overloaded");
    expect(long.sent.length).toBe(1);
  });

  it("is not made for a caller whose time is over", async () => {
    const { ask, sent } = originOf({
      endpoints: { a: hanging },
      pool: { endpoints: [{ url: "https://a.example.com" }] },
    });
    const response = await ask({ "nearside-deadline": `${Date.now() + 30}` });
    expect(response.status).toBe(504);
    expect(await codeOf(response)).toBe("deadline_exceeded");
    expect(sent.length).toBe(1);
    expect(await codeOf(await ask({ "nearside-deadline": "1" }))).toBe("deadline_exceeded");
    expect(sent.length).toBe(1);
  });

  it("is made within the budget, however many requests fail", async () => {
    const { ask, counters } = originOf({ endpoints: all(broken) });
    for (let request = 0; request < 200; request++) await ask();
    const { retries = 0, denied = 0 } = counters() ?? {};
    // A tenth, what an isolate begins with, and the floor.
    expect(retries).toBeLessThanOrEqual(0.1 * 200 + 10 + 4);
    expect(denied).toBeGreaterThan(0);
  });

  it("is never made where the pool allows none", async () => {
    const { ask, sent } = originOf({ endpoints: all(broken), pool: { retry: { budget: 0 } } });
    expect(await codeOf(await ask())).toBe("origin_unavailable");
    expect(sent.length).toBe(1);
  });
});

describe("a request that one endpoint finds at fault", () => {
  it.each([400, 422, 413, 415])(
    "is taken to another (%i), whose answer puts the first in the wrong",
    async (code) => {
      const { ask, pass, counters, logged } = failing(
        { a: status(code) },
        { endpoints: ["a", "d"].map((name) => ({ url: `https://${name}.example.com` })) },
      );
      for (let request = 0; request < 40 && logged.length === 0; request++) {
        expect(await (await ask()).json()).toEqual(GOOD);
        // It is forgotten that the refusal took as long as the other's answer.
        pass(10_000);
      }
      expect(counters()).toMatchObject({ rejected: 0, failed: 0, inFlight: 0 });
      expect(logged).toContainEqual(
        expect.objectContaining({ event: "endpoint_ejected", endpoint: "https://a.example.com" }),
      );
    },
  );

  it("is at fault when the other says so too, and puts nobody out", async () => {
    const { ask, sent, counters, logged } = originOf({ endpoints: all(status(400)) });
    for (let request = 0; request < 20; request++) {
      expect(await codeOf(await ask())).toBe("origin_rejected");
    }
    expect(sent.length).toBeGreaterThan(20);
    expect(counters()).toMatchObject({ rejected: 20, failed: 0, inFlight: 0 });
    expect(counters()?.endpoints.every(({ inFlight }) => inFlight === 0)).toBe(true);
    expect(logged.filter(({ event }) => event !== "forward_rejected")).toEqual([]);
  });

  it("leaves retries for others in the budget", async () => {
    const endpoints: Record<string, Endpoint> = all(status(422));
    const { ask } = originOf({ endpoints });
    for (let request = 0; request < 50; request++) await ask();
    Object.assign(endpoints, but(status(503)));
    expect((await ask()).status).toBe(200);
  });

  it.each([400, 422])("is not computed twice where it must not be (%i)", async (code) => {
    const { ask, sent } = originOf({ endpoints: all(status(code)) });
    await ask(NOT_IDEMPOTENT);
    expect(sent.length).toBe(1);
  });

  it("is told so when the other endpoint fails", async () => {
    const endpoints = { a: status(400), b: status(500) };
    const urls = ["https://a.example.com", "https://b.example.com"];
    const { ask, counters } = originOf({
      endpoints,
      pool: { endpoints: urls.map((url) => ({ url })) },
    });
    for (let request = 0; request < 5; request++) await ask();
    expect(counters()).toMatchObject({ inFlight: 0, answered: 0 });
    expect(counters()?.endpoints.every(({ inFlight }) => inFlight === 0)).toBe(true);
  });
});

describe("an endpoint that asks for a rest", () => {
  it("is left alone until it is over, while others are there", async () => {
    const { ask, pass, sent, counters } = originOf({
      endpoints: { a: status(429, { "retry-after": "20" }) },
      pool: { endpoints: ["a", "b"].map((name) => ({ url: `https://${name}.example.com` })) },
    });
    const askedA = () => sent.filter(({ url }) => url.includes("//a.")).length;
    for (let request = 0; request < 30; request++) expect((await ask()).status).toBe(200);
    expect(askedA()).toBe(1);
    expect(counters()?.endpoints[0]?.standing).toBe("resting");
    pass(20_000);
    for (let request = 0; request < 30; request++) expect((await ask()).status).toBe(200);
    expect(askedA()).toBe(2);
  });
});

describe("a caller with little time", () => {
  const ejected = ({ logged }: ReturnType<typeof originOf>): boolean =>
    logged.some(({ event }) => event === "endpoint_ejected");

  it("puts no endpoint out", async () => {
    const origin = originOf({ endpoints: all(hanging) });
    for (let request = 0; request < 40; request++) {
      await origin.ask({ "nearside-deadline": `${origin.context.now() + 2}` });
    }
    expect(ejected(origin)).toBe(false);
    expect(origin.counters()).toMatchObject({ inFlight: 0 });
  });

  it.each([
    ["sooner than answers come, which blames nobody", 20, false],
    ["later than nearly all answers come, which tells of endpoints that hang", 1_000, true],
  ])("leaves %s", async (_, milliseconds, expected) => {
    const endpoints: Record<string, Endpoint> = {};
    const origin = originOf({ endpoints, pool: { hedge: false } });
    const { ask, counters, pass } = origin;
    Object.assign(
      endpoints,
      all((...words) => {
        pass(200);
        return good(...words);
      }),
    );
    for (let request = 0; request < 40; request++) await ask();
    Object.assign(endpoints, all(hanging));
    for (let request = 0; request < 40; request++) {
      const caller = new AbortController();
      const before = counters()?.attempts ?? 0;
      const asked = ask({}, { signal: caller.signal });
      await expect.poll(() => counters()?.attempts, { interval: 1 }).toBe(before + 1);
      pass(milliseconds);
      caller.abort();
      await asked;
    }
    expect(ejected(origin)).toBe(expected);
    expect(counters()).toMatchObject({ inFlight: 0 });
  });
});

describe("a hedge", () => {
  /**
   * A pool of two that has answered often enough to know what it needs; then one of them is slow: the one that was
   * quicker, because the other might not be chosen for long.
   */
  async function warmed(slow: Endpoint, pool: Record<string, unknown> = {}) {
    const endpoints: Record<string, Endpoint> = { a: good, b: good };
    const urls = ["https://a.example.com", "https://b.example.com"];
    const origin = originOf({
      endpoints,
      pool: {
        endpoints: urls.map((url) => ({ url })),
        timeoutMs: 200,
        retry: { budget: 1 },
        ...pool,
      },
    });
    for (let request = 0; request < 40; request++) await origin.ask();
    const [quicker] = (origin.counters()?.endpoints ?? []).toSorted(
      (a, b) => a.latencyMs - b.latencyMs,
    );
    endpoints[quicker?.url.includes("//a.") === true ? "a" : "b"] = slow;
    return origin;
  }

  it("that can't be sent leaves the first attempt alone, and nothing behind", async () => {
    const slow: Endpoint = () =>
      new Promise((resolve) => setTimeout(() => resolve(answer("slow")), 30));
    const { ask, counters, isolate } = await warmed(slow);
    const { sign } = isolate;
    let signed = 0;
    Object.assign(isolate, {
      sign: (message: Parameters<NonNullable<typeof sign>>[0]) => {
        if (signed++ > 0) throw new Error("There is no key any more.");
        return sign?.(message);
      },
    });
    for (let request = 0; request < 100 && counters()?.hedges === 0; request++) {
      signed = 0;
      expect((await ask()).status).toBe(200);
    }
    expect(counters()).toMatchObject({ hedges: 1, inFlight: 0 });
    expect(counters()?.endpoints.map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  });

  it("answers for an endpoint that hangs, which is told that nobody waits", async () => {
    let aborted = 0;
    const slow: Endpoint = (request, init) => {
      init.signal.addEventListener("abort", () => void aborted++);
      return hanging(request, init);
    };
    // On a busy machine the pool's p95 is above the 200 ms that others here wait.
    const { ask, counters } = await warmed(slow, { timeoutMs: 10_000 });
    // Once it has been slow it is hardly chosen again.
    for (let request = 0; request < 100 && counters()?.hedgesWon === 0; request++) {
      expect(await (await ask()).json()).toEqual(GOOD);
    }
    expect(counters()).toMatchObject({ hedges: 1, hedgesWon: 1, retries: 0 });
    await expect.poll(() => aborted).toBe(1);
    expect(counters()).toMatchObject({ inFlight: 0 });
  });

  it.each([
    ["what must not run twice", NOT_IDEMPOTENT, {}],
    ["events, which cost an engine for as long as they last", { accept: "text/event-stream" }, {}],
    ["a pool without hedges", {}, { hedge: false }],
  ])("is not made for %s", async (_, headers, pool) => {
    const { ask, counters } = await warmed(hanging, { timeoutMs: 20, ...pool });
    for (let request = 0; request < 6; request++) await ask(headers);
    expect(counters()?.hedges).toBe(0);
  });
});

describe("endpoints that fail", () => {
  it("return by a probe that is slow, though its caller has a hedge's answer by then", async () => {
    const endpoints: Record<string, Endpoint> = { a: broken };
    const urls = ["https://a.example.com", "https://b.example.com"];
    const pool = { endpoints: urls.map((url) => ({ url })), retry: { budget: 1 } };
    const { ask, pass, logged, counters } = originOf({ endpoints, pool });
    endpoints["b"] = (...words) => {
      pass(50);
      return good(...words);
    };
    for (let request = 0; request < 60; request++) await ask();
    const { promise, resolve } = Promise.withResolvers<void>();
    endpoints["a"] = async () => {
      await promise;
      return answer("the probe");
    };
    pass(8_000);
    expect(await (await ask()).json()).toEqual(GOOD);
    expect(logged.map(({ event }) => event)).toEqual(["endpoint_ejected"]);
    resolve();
    await expect.poll(() => logged.at(-1)).toMatchObject({ event: "endpoint_returned" });
    expect(counters()).toMatchObject({ hedges: 1, hedgesWon: 1, inFlight: 0 });
  });

  it("are ejected, told of in the log once, and asked no more", async () => {
    const { ask, logged, sent } = failing({ a: broken, b: status(500) });
    for (let request = 0; request < 60; request++) expect((await ask()).status).toBe(200);
    const ejected = logged.filter(({ event }) => event === "endpoint_ejected");
    expect(ejected.map(({ endpoint }) => endpoint).toSorted()).toEqual([
      "https://a.example.com",
      "https://b.example.com",
    ]);
    const asked = sent.filter(({ url }) => /\/\/[ab]\./.test(url)).length;
    expect(asked).toBe(10);
  });

  it("are left out on the cron's word", async () => {
    const now = Date.now();
    const unhealthy = { healthy: false, at: now };
    const { ask, sent } = originOf({
      health: { gpu: { "https://a.example.com": unhealthy, "https://b.example.com": unhealthy } },
    });
    // The first finds nothing read yet.
    await ask();
    sent.length = 0;
    for (let request = 0; request < 30; request++) await ask();
    expect(sent.some(({ url }) => /\/\/[ab]\./.test(url))).toBe(false);
  });
});
