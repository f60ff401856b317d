import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  Breaker,
  CONSECUTIVE_FAILURES,
  LONGEST_EJECTION_MS,
  LONGEST_REST_MS,
  PROBE_LOST_MS,
  RETURN_MS,
} from "../../src/origin/breaker.ts";
import type { Outcome } from "../../src/origin/endpoint-window.ts";
import { HEALTH_MAX_AGE_MS } from "../../src/origin/pool.ts";
import { seededRandom, urlsOf } from "./support.ts";

const [A = "", B = "", C = "", D = ""] = urlsOf(4);

/** With the longest back-off that jitter allows, if not said otherwise. */
function breakerOf(count: number, random: () => number = () => 1 - 2 ** -32) {
  const breaker = new Breaker(random);
  breaker.configure(urlsOf(count));
  const attempt = (url: string, outcome: Outcome, now: number, milliseconds = 50): void =>
    breaker.end(url, breaker.begin(url, now), outcome, milliseconds, now);
  const fail = (url: string, now: number): void => {
    for (let at = 0; at < CONSECUTIVE_FAILURES; at++) attempt(url, "failure", now);
  };
  /** Ten seconds in which every endpoint is asked, with its own errors and latency. */
  const live = (
    behaviour: Readonly<Record<string, { failsEvery?: number; ms?: number }>>,
  ): void => {
    for (let at = 0; at < 100; at++) {
      for (const url of urlsOf(count)) {
        const { failsEvery = Infinity, ms = 50 } = behaviour[url] ?? {};
        if (breaker.share(url, at * 100) === 0) continue;
        attempt(url, (at + 1) % failsEvery === 0 ? "failure" : "success", at * 100, ms);
      }
    }
  };
  const out = (now: number): string[] =>
    urlsOf(count).filter((url) => breaker.share(url, now) === 0);
  return { breaker, attempt, fail, live, out };
}

describe("Breaker", () => {
  it("ejects after five failures in a row", () => {
    const { breaker, attempt } = breakerOf(3);
    for (let at = 0; at < 4; at++) attempt(A, "failure", 0);
    attempt(A, "success", 0);
    for (let at = 0; at < 4; at++) attempt(A, "failure", 0);
    expect(breaker.standing(A, 0)).toBe("closed");
    attempt(A, "failure", 0);
    expect(breaker.standing(A, 0)).toBe("ejected");
    expect(breaker.share(A, 0)).toBe(0);
    expect(breaker.standing(B, 0)).toBe("closed");
  });

  it("leaves one alone that has asked for a rest, for a minute at the most", () => {
    const { breaker, attempt, fail } = breakerOf(3);
    breaker.rest(A, 5_000, 0);
    expect([breaker.standing(A, 4_999), breaker.share(A, 4_999)]).toEqual(["resting", 0]);
    expect(breaker.standing(A, 5_000)).toBe("closed");
    breaker.rest(A, 3_600_000, 5_000);
    breaker.rest(A, 1, 5_000);
    expect(breaker.standing(A, 5_000 + LONGEST_REST_MS - 1)).toBe("resting");
    expect(breaker.standing(A, 5_000 + LONGEST_REST_MS)).toBe("closed");
    breaker.rest(B, 30_000, 0);
    fail(B, 0);
    expect(breaker.wantsProbe(B, 29_999)).toBe(false);
    expect(breaker.wantsProbe(B, 30_000)).toBe(true);
    attempt(B, "success", 30_000);
    expect(breaker.standing(B, 30_000)).toBe("returning");
  });

  it("counts being outrun by a hedge like a failure, so that one that hangs is ejected", () => {
    const { breaker, attempt } = breakerOf(3);
    for (let at = 0; at < 5; at++) attempt(A, "outrun", at);
    expect(breaker.standing(A, 5)).toBe("ejected");
  });

  it("learns nothing from callers who leave", () => {
    const { breaker, attempt } = breakerOf(3);
    for (let at = 0; at < 4; at++) attempt(A, "failure", 0);
    for (let at = 0; at < 20; at++) attempt(A, "cancelled", 0);
    expect(breaker.standing(A, 0)).toBe("closed");
    attempt(A, "failure", 0);
    expect(breaker.standing(A, 0)).toBe("ejected");
  });

  it("waits twice as long after each failed probe, up to a minute", () => {
    const { breaker, attempt, fail } = breakerOf(3);
    fail(A, 0);
    const waits: number[] = [];
    for (let now = 0; waits.length < 9;) {
      let wait = 0;
      while (breaker.standing(A, now + wait) === "ejected") wait += 500;
      waits.push(wait);
      now += wait;
      expect(breaker.wantsProbe(A, now)).toBe(true);
      attempt(A, "failure", now);
    }
    expect(waits.map((wait) => wait / 1_000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  it("shortens a back-off by jitter, to the half at the most", () => {
    const { breaker, fail } = breakerOf(3, () => 0);
    fail(A, 0);
    expect(breaker.standing(A, 499)).toBe("ejected");
    expect(breaker.standing(A, 500)).toBe("half_open");
  });

  it("lets one probe through at a time", () => {
    const { breaker, fail } = breakerOf(3);
    fail(A, 0);
    expect(breaker.wantsProbe(A, 999)).toBe(false);
    expect(breaker.wantsProbe(A, 1_000)).toBe(true);
    const pass = breaker.begin(A, 1_000);
    expect(pass.probe).toBe(true);
    expect(breaker.wantsProbe(A, 1_001)).toBe(false);
    breaker.end(A, pass, "cancelled", 1, 1_002);
    expect(breaker.wantsProbe(A, 1_002)).toBe(true);
  });

  it("sends another probe when one was lost with its request", () => {
    const { breaker, fail } = breakerOf(3);
    fail(A, 0);
    breaker.begin(A, 1_000);
    expect(breaker.wantsProbe(A, 999 + PROBE_LOST_MS)).toBe(false);
    expect(breaker.wantsProbe(A, 1_000 + PROBE_LOST_MS)).toBe(true);
  });

  it("lets an endpoint return slowly, from a tenth to all of its weight in ten seconds", () => {
    const { breaker, attempt, fail } = breakerOf(3);
    fail(A, 0);
    attempt(A, "success", 1_000);
    expect(breaker.standing(A, 1_000)).toBe("returning");
    expect(breaker.share(A, 1_000)).toBeCloseTo(0.1);
    expect(breaker.share(A, 6_000)).toBeCloseTo(0.55);
    expect(breaker.share(A, 10_999)).toBeCloseTo(1, 3);
    expect(breaker.standing(A, 1_000 + RETURN_MS)).toBe("closed");
  });

  it.each([
    ["longer soon after a return", 20_000, 2_000],
    ["short again after a good minute", 62_000, 1_000],
  ])("ejects for a time that is %s", (_, at, milliseconds) => {
    const { breaker, attempt, fail } = breakerOf(3);
    fail(A, 0);
    attempt(A, "success", 1_000);
    fail(A, at);
    expect(breaker.standing(A, at + milliseconds - 1)).toBe("ejected");
    expect(breaker.standing(A, at + milliseconds)).toBe("half_open");
  });

  it("lets back-offs grow in each outage, however long ago the last return was", () => {
    const { breaker, attempt, fail } = breakerOf(3);
    fail(A, 0);
    attempt(A, "success", 1_000);
    fail(A, 100_000);
    attempt(A, "failure", 101_000);
    attempt(A, "failure", 103_000);
    expect(breaker.standing(A, 106_999)).toBe("ejected");
    expect(breaker.standing(A, 107_000)).toBe("half_open");
  });

  it("doesn't believe what began before the ejection", () => {
    const { breaker, fail } = breakerOf(3);
    const early = [breaker.begin(A, 0), breaker.begin(A, 0)] as const;
    fail(A, 1);
    breaker.end(A, early[0], "success", 1, 2);
    expect(breaker.standing(A, 2)).toBe("ejected");
    breaker.end(A, early[1], "failure", 1, 1_500);
    expect(breaker.wantsProbe(A, 1_500)).toBe(true);
  });

  it("ejects one whose success rate lies far below the others'", () => {
    const { live, out } = breakerOf(5);
    live({ [B]: { failsEvery: 3 } });
    expect(out(10_000)).toEqual([B]);
  });

  it("ejects nobody while all fail alike", () => {
    const { live, out } = breakerOf(3);
    live({ [A]: { failsEvery: 3 }, [B]: { failsEvery: 3 }, [C]: { failsEvery: 3 } });
    expect(out(10_000)).toEqual([]);
  });

  it("ejects one that is more than five times as slow as the pool's median, not one of four times", () => {
    const { live, out } = breakerOf(5);
    live({ [B]: { ms: 200 }, [C]: { ms: 260 } });
    expect(out(10_000)).toEqual([C]);
  });

  it.each([
    [4, [A, C]],
    [3, [A]],
  ])("ejects what it may of two slow ones of %i", (count, ejected) => {
    const { live, out } = breakerOf(count);
    live({ [A]: { ms: 500 }, [C]: { ms: 500 } });
    expect(out(10_000)).toEqual(ejected);
  });

  it("takes a slow answer to a probe for no recovery", () => {
    const { breaker, attempt, live, fail } = breakerOf(4);
    live({});
    fail(B, 10_000);
    attempt(B, "success", 11_000, 500);
    expect(breaker.standing(B, 11_000)).toBe("ejected");
    attempt(B, "success", 13_000, 50);
    expect(breaker.standing(B, 13_000)).toBe("returning");
  });

  it("ejects no outlier when half of the pool would be out with it already", () => {
    const { live, out, fail } = breakerOf(4);
    fail(C, 9_900);
    fail(D, 9_900);
    live({ [A]: { ms: 5_000 }, [B]: {} });
    expect(out(9_900)).toHaveLength(2);
    const alone = breakerOf(1);
    alone.live({ [A]: { failsEvery: 2 } });
    expect(alone.out(10_000)).toEqual([]);
  });

  it("takes the cron's word for an unhealthy endpoint until the next must have come", () => {
    const { breaker } = breakerOf(2);
    const at = 1_000_000;
    breaker.configure(urlsOf(2), {
      [A]: { healthy: false, at },
      [B]: { healthy: true, at },
    });
    expect(breaker.standing(A, at + HEALTH_MAX_AGE_MS - 1)).toBe("unhealthy");
    expect(breaker.share(A, at + HEALTH_MAX_AGE_MS - 1)).toBe(0);
    expect(breaker.wantsProbe(A, at)).toBe(false);
    expect(breaker.standing(A, at + HEALTH_MAX_AGE_MS)).toBe("closed");
    expect(breaker.standing(B, at)).toBe("closed");
  });

  it("keeps what it knows of endpoints that stay in the pool", () => {
    const { breaker, fail } = breakerOf(3);
    fail(A, 0);
    fail(B, 0);
    const pass = breaker.begin(B, 0);
    breaker.configure([A, C]);
    expect(breaker.standing(A, 0)).toBe("ejected");
    expect(() => breaker.standing(B, 0)).toThrow("no endpoint https://gpu-1");
    breaker.end(B, pass, "failure", 1, 1);
    breaker.configure([A, B, C]);
    expect(breaker.standing(B, 0)).toBe("closed");
  });

  it("never has more than half of a pool out for being outliers", () => {
    const behaviour = fc.record({
      failsEvery: fc.constantFrom(2, 3, 5, Infinity),
      ms: fc.constantFrom(10, 50, 400, 5_000),
    });
    fc.assert(
      fc.property(fc.array(behaviour, { minLength: 1, maxLength: 8 }), (behaviours) => {
        const urls = urlsOf(behaviours.length);
        const { live, out } = breakerOf(urls.length);
        live(Object.fromEntries(urls.map((url, at) => [url, behaviours[at] ?? {}])));
        for (let now = 0; now < 10_000; now += 500) {
          expect(out(now).length).toBeLessThanOrEqual(urls.length / 2);
        }
      }),
    );
  });

  it("lets an endpoint that is well again return within its back-off, whatever it did before", () => {
    const outcome = fc.constantFrom<Outcome>(
      "success",
      "failure",
      "failure",
      "outrun",
      "cancelled",
    );
    const step = fc.record({ outcome, dt: fc.nat(5_000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer(), (steps, seed) => {
        const { breaker, attempt } = breakerOf(3, seededRandom(seed));
        let now = 0;
        for (const next of steps) {
          now += next.dt;
          if (breaker.share(A, now) > 0 || breaker.wantsProbe(A, now))
            attempt(A, next.outcome, now);
        }
        const wellAt = now;
        while (breaker.standing(A, now) !== "closed") {
          if (breaker.share(A, now) > 0 || breaker.wantsProbe(A, now)) attempt(A, "success", now);
          now += 100;
          expect(now - wellAt).toBeLessThanOrEqual(LONGEST_EJECTION_MS + RETURN_MS + 200);
        }
      }),
    );
  });
});
