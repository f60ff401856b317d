import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { type Attempt, Balancer } from "../../src/origin/balancer.ts";
import { LONGEST_EJECTION_MS, PROBE_LOST_MS, RETURN_MS } from "../../src/origin/breaker.ts";
import type { Outcome } from "../../src/origin/endpoint-window.ts";
import { endpointsOf, seededRandom, urlsOf } from "./support.ts";

function balancerOf(weights: readonly number[], seed = 1): Balancer {
  const balancer = new Balancer(seededRandom(seed));
  balancer.configure(endpointsOf(...weights));
  return balancer;
}

const equal = (count: number): number[] => Array<number>(count).fill(1);

/** The part of `requests`, one after the other, that each endpoint gets. */
function sharesOf(
  balancer: Balancer,
  requests: number,
  millisecondsOf: (url: string) => number = () => 50,
  start = 0,
): Record<string, number> {
  const shares: Record<string, number> = {};
  let now = start;
  for (let request = 0; request < requests; request++) {
    const attempt = balancer.choose(now);
    const { url } = attempt.endpoint;
    shares[url] = (shares[url] ?? 0) + 1 / requests;
    attempt.end("success", (now += millisecondsOf(url)));
  }
  return shares;
}

const [A = "", B = "", C = ""] = urlsOf(3);

describe("Balancer", () => {
  it("chooses the same with the same random numbers", () => {
    const sequence = (seed: number): string[] => {
      const balancer = balancerOf([1, 2, 3], seed);
      return Array.from({ length: 50 }, (_, at) => balancer.choose(at).endpoint.url);
    };
    expect(sequence(7)).toEqual(sequence(7));
    expect(sequence(7)).not.toEqual(sequence(8));
  });

  it("follows the weights when latencies are equal", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 8 });
    const requests = 3_000;
    fc.assert(
      fc.property(weights, fc.integer(), (each, seed) => {
        const total = each.reduce((sum, weight) => sum + weight, 0);
        const shares = sharesOf(balancerOf(each, seed), requests);
        for (const [at, url] of urlsOf(each.length).entries()) {
          const expected = (each[at] ?? 0) / total;
          const deviation = Math.sqrt((expected * (1 - expected)) / requests);
          expect(Math.abs((shares[url] ?? 0) - expected)).toBeLessThanOrEqual(
            5.5 * deviation + 1e-9,
          );
        }
      }),
      { numRuns: 30 },
    );
  });

  it("follows the weights under load, too", () => {
    const balancer = balancerOf([1, 2, 5]);
    const counts: Record<string, number> = {};
    const running: Attempt[] = [];
    for (let now = 0; now < 5_000; now++) {
      const attempt = balancer.choose(now);
      counts[attempt.endpoint.url] = (counts[attempt.endpoint.url] ?? 0) + 1;
      running.push(attempt);
      if (running.length === 40) running.shift()?.end("success", now);
    }
    expect((counts[A] ?? 0) / 5_000).toBeCloseTo(1 / 8, 1);
    expect((counts[B] ?? 0) / 5_000).toBeCloseTo(2 / 8, 1);
    expect((counts[C] ?? 0) / 5_000).toBeCloseTo(5 / 8, 1);
  });

  it("follows the weights when latencies are alike, but noisy", () => {
    const random = seededRandom(3);
    const shares = sharesOf(balancerOf([1, 3]), 20_000, () => 40 + 20 * random());
    expect(shares[B]).toBeCloseTo(0.75, 1);
  });

  it.each([2, 3, 10])("sends little to a slow one of %i", (count) => {
    const shares = sharesOf(balancerOf(equal(count)), 4_000, (url) => (url === A ? 200 : 50));
    expect(shares[A]).toBeLessThan(0.25 / count);
    expect(shares[A]).toBeGreaterThan(0);
  });

  it("prefers who has less to do", () => {
    const balancer = balancerOf([1, 1]);
    balancer.choose(0, { tried: new Set([B]) });
    expect(balancer.choose(0).endpoint.url).toBe(B);
    for (let request = 0; request < 98; request++) balancer.choose(0);
    const [a = 0, b = 0] = balancer.report(0).map(({ inFlight }) => inFlight);
    expect(a + b).toBe(100);
    expect(Math.abs(a - b)).toBeLessThan(15);
  });

  it("tries one that was slow again, when that is long enough ago", () => {
    const balancer = balancerOf([1, 1]);
    balancer.choose(0, { tried: new Set([B]) }).end("success", 2_000);
    balancer.choose(0, { tried: new Set([A]) }).end("success", 50);
    expect(sharesOf(balancer, 200, undefined, 2_000)).toEqual({ [B]: expect.closeTo(1) });
    const later = sharesOf(balancer, 200, undefined, 70_000);
    expect(later[A]).toBeGreaterThan(0.4);
  });

  it("gives an endpoint that is new a fair share from the first request on", () => {
    const balancer = balancerOf(equal(4));
    sharesOf(balancer, 1_000);
    balancer.configure(endpointsOf(...equal(5)));
    const shares = sharesOf(balancer, 1_000, undefined, 50_000);
    expect(shares[urlsOf(5)[4] ?? ""]).toBeGreaterThan(0.15);
    expect(shares[urlsOf(5)[4] ?? ""]).toBeLessThan(0.25);
  });

  it("keeps what it knows when the pool changes", () => {
    const balancer = balancerOf([1, 1]);
    const attempt = balancer.choose(0);
    balancer.configure(endpointsOf(1, 4));
    const { url } = attempt.endpoint;
    expect(balancer.report(0).find((each) => each.url === url)?.inFlight).toBe(1);
    attempt.end("success", 70);
    expect(balancer.report(70).find((each) => each.url === url)).toMatchObject({
      inFlight: 0,
      latencyMs: 70,
      standing: "closed",
    });
  });

  it("never chooses one that was tried while there is another", () => {
    const choice = fc.record({
      tried: fc.subarray(urlsOf(5), { maxLength: 4 }),
      ok: fc.boolean(),
      mayProbe: fc.boolean(),
    });
    const choices = fc.array(choice, { minLength: 1, maxLength: 80 });
    fc.assert(
      fc.property(choices, fc.integer(), (each, seed) => {
        const balancer = balancerOf(equal(5), seed);
        for (const [at, { tried, ok, mayProbe }] of each.entries()) {
          const attempt = balancer.choose(at * 200, { tried: new Set(tried), mayProbe });
          expect(tried).not.toContain(attempt.endpoint.url);
          attempt.end(ok ? "success" : "failure", at * 200 + 1);
        }
      }),
    );
  });

  it("asks again when all have been tried", () => {
    const attempt = balancerOf([1, 1]).choose(0, { tried: new Set([A, B]) });
    expect([A, B]).toContain(attempt.endpoint.url);
  });

  it("probes with first attempts, and not with those that must not take the risk", () => {
    const balancer = balancerOf([1, 1]);
    const others = { tried: new Set([B]) };
    for (let at = 0; at < 5; at++) balancer.choose(0, others).end("failure", 0);
    expect(balancer.report(0)[0]?.standing).toBe("ejected");
    expect(balancer.choose(1_500, { mayProbe: false }).endpoint.url).toBe(B);
    const probe = balancer.choose(1_500);
    expect(probe).toMatchObject({ probe: true, endpoint: { url: A } });
    expect(balancer.choose(1_500).endpoint.url).toBe(B);
    probe.end("success", 1_550);
    expect(balancer.report(1_550)[0]?.standing).toBe("returning");
  });

  it("asks all when all are out, and takes back the first that answers", () => {
    const balancer = balancerOf(equal(3));
    for (let at = 0; at < 200; at++) balancer.choose(0).end("failure", 0);
    expect(balancer.report(0).map(({ standing }) => standing)).toEqual(Array(3).fill("ejected"));
    const asked = Array.from({ length: 30 }, () => balancer.choose(1));
    expect(new Set(asked.map(({ endpoint }) => endpoint.url))).toEqual(new Set([A, B, C]));
    asked[0]?.end("success", 2);
    expect(balancer.choose(3).endpoint).toBe(asked[0]?.endpoint);
  });

  it("asks all when the cron calls all unhealthy", () => {
    const balancer = new Balancer(seededRandom(1));
    const health = Object.fromEntries(urlsOf(2).map((url) => [url, { healthy: false, at: 0 }]));
    balancer.configure(endpointsOf(1, 1), health);
    expect(Object.keys(sharesOf(balancer, 50))).toHaveLength(2);
  });

  it("takes the first byte for an endpoint's latency, and counts the stream as in flight", () => {
    const balancer = balancerOf([1]);
    const attempt = balancer.choose(0);
    attempt.answered(30);
    expect(balancer.report(5_000)[0]).toMatchObject({ inFlight: 1, latencyMs: 30 });
    attempt.answered(40);
    attempt.end("success", 9_000);
    attempt.end("failure", 9_001);
    expect(balancer.report(9_001)[0]).toMatchObject({ inFlight: 0, latencyMs: 30 });
  });

  it("doesn't take a quick refusal for a short latency", () => {
    const balancer = balancerOf([1]);
    balancer.choose(0).end("success", 50);
    balancer.choose(50).end("failure", 51);
    balancer.choose(51).end("cancelled", 52);
    expect(balancer.report(52)[0]?.latencyMs).toBeCloseTo(50);
    balancer.choose(52).end("outrun", 352);
    expect(balancer.report(352)[0]?.latencyMs).toBe(300);
  });

  it("knows how long to wait for a hedge after twenty answers", () => {
    const balancer = balancerOf([1, 1]);
    expect(balancer.hedgeAfterMs(0)).toBeUndefined();
    sharesOf(balancer, 20);
    expect(Math.abs((balancer.hedgeAfterMs(1_000) ?? 0) / 50 - 1)).toBeLessThan(0.06);
  });

  it("always finds an endpoint, and sends nothing but single probes to one that is ejected", () => {
    const step = fc.record({
      dt: fc.constantFrom(0, 1, 20, 400, 3_000),
      outcome: fc.constantFrom<Outcome>("success", "failure", "failure", "outrun", "cancelled"),
      ms: fc.constantFrom(1, 50, 2_000),
      /** How many attempts stay open behind this one. */
      open: fc.nat(6),
      unhealthy: fc.option(fc.subarray(urlsOf(4)), { freq: 10 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(step, { maxLength: 250 }),
        fc.integer(),
        (count, steps, seed) => {
          const balancer = balancerOf(equal(count), seed);
          const running: { attempt: Attempt; began: number }[] = [];
          let now = 0;
          for (const { dt, outcome, ms, open, unhealthy } of steps) {
            now += dt;
            if (unhealthy !== null) {
              const health = unhealthy.map((url) => [url, { healthy: false, at: now }]);
              balancer.configure(endpointsOf(...equal(count)), Object.fromEntries(health));
            }
            const before = balancer.report(now);
            const attempt = balancer.choose(now);
            const { url } = attempt.endpoint;
            expect(urlsOf(count)).toContain(url);
            const isIn = (standing = ""): boolean => /^(closed|returning)$/.test(standing);
            const probing = running.filter(
              (other) =>
                other.attempt.probe &&
                other.attempt.endpoint.url === url &&
                now - other.began < PROBE_LOST_MS,
            );
            const isFair = attempt.probe
              ? probing.length === 0
              : isIn(before.find((each) => each.url === url)?.standing) ||
                !before.some(({ standing }) => isIn(standing));
            expect(isFair).toBe(true);
            running.push({ attempt, began: now });
            while (running.length > open) running.shift()?.attempt.end(outcome, now + ms);
          }
        },
      ),
    );
  });

  it("gives an endpoint its full share again within a bound after it is well", () => {
    const outage = fc.integer({ min: 1_000, max: 90_000 });
    fc.assert(
      fc.property(outage, fc.integer(), (until, seed) => {
        const balancer = balancerOf(equal(4), seed);
        const interval = 50;
        let now = 0;
        const request = (): string => {
          const attempt = balancer.choose((now += interval));
          const { url } = attempt.endpoint;
          attempt.end(url === A && now < until ? "failure" : "success", now + 20);
          return url;
        };
        for (let at = 0; at < until; at += interval) request();
        // Back-offs double, so none is longer than twice the outage that they filled.
        const bound = Math.min(LONGEST_EJECTION_MS, 4 * until + 2_000) + RETURN_MS;
        while (balancer.report(now)[0]?.standing !== "closed") {
          request();
          expect(now - until).toBeLessThanOrEqual(bound + interval);
        }
        const asked = Array.from({ length: 400 }, request);
        const share = asked.filter((url) => url === A).length / asked.length;
        expect(share).toBeGreaterThan(0.1);
      }),
      { numRuns: 30 },
    );
  });
});
