import * as v from "valibot";
import { describe, expect, it } from "vitest";

import type { Catalog } from "../../src/catalog/catalog.ts";
import { OriginPool } from "../../src/origin/pool.ts";
import { Pools } from "../../src/origin/pools.ts";
import { SimulatedClock, urlsOf } from "./support.ts";

const poolOf = (count: number, more: object = {}) =>
  v.parse(OriginPool, {
    protocol: "open-inference",
    endpoints: urlsOf(count).map((url) => ({ url })),
    ...more,
  });
const catalogOf = (pools: Record<string, OriginPool>): Catalog => ({
  schema: 1,
  number: 1,
  models: {},
  pools,
});

function poolsOf() {
  const logged: string[] = [];
  const clock = new SimulatedClock();
  clock.advance(1_000_000);
  const pools = new Pools({
    clock,
    random: () => 0.5,
    log: {
      warn: (event, fields) => void logged.push(`${event} ${fields?.["endpoint"]}`),
      error() {},
    },
  });
  return { pools, clock, logged };
}

describe("what an isolate knows of its pools", () => {
  it("outlives a new catalog, for endpoints that stay", () => {
    const { pools, clock, logged } = poolsOf();
    const state = pools.of("gpu", catalogOf({ gpu: poolOf(3) }), {});
    const [first = "", second = ""] = urlsOf(3);
    const others = new Set(urlsOf(3).filter((url) => url !== first));
    for (let failure = 0; failure < 5; failure++) {
      const attempt = state.balancer.choose(clock.now(), { tried: others, mayProbe: false });
      state.end(attempt, "failure");
    }
    expect(logged).toEqual([`endpoint_ejected ${first}`]);
    const later = pools.of("gpu", catalogOf({ gpu: poolOf(2, { maxInFlight: 7 }) }), {});
    expect(later).toBe(state);
    expect(later.config.maxInFlight).toBe(7);
    expect(later.report().endpoints).toMatchObject([
      { url: first, standing: "ejected" },
      { url: second, standing: "closed" },
    ]);
  });

  it("tells when an endpoint is back, once", () => {
    const { pools, clock, logged } = poolsOf();
    const state = pools.of("gpu", catalogOf({ gpu: poolOf(1) }), {});
    for (let failure = 0; failure < 5; failure++) {
      state.end(state.balancer.choose(clock.now()), "failure");
    }
    clock.advance(2_000);
    for (let success = 0; success < 3; success++) {
      state.end(state.balancer.choose(clock.now()), "success");
    }
    const [first] = urlsOf(1);
    expect(logged).toEqual([`endpoint_ejected ${first}`, `endpoint_returned ${first}`]);
  });

  it("goes with the pool", () => {
    const { pools } = poolsOf();
    const before = pools.of("gpu", catalogOf({ gpu: poolOf(1) }), {});
    expect(() => pools.of("gpu", catalogOf({}), {})).toThrow(
      expect.objectContaining({ code: "pool_not_found" }),
    );
    expect(pools.report()).toEqual({});
    expect(pools.of("gpu", catalogOf({ gpu: poolOf(1) }), {})).not.toBe(before);
  });

  it("is joined by what the cron found", () => {
    const { pools, clock } = poolsOf();
    const catalog = catalogOf({ gpu: poolOf(2) });
    const [first = ""] = urlsOf(2);
    const state = pools.of("gpu", catalog, {});
    expect(state.report().endpoints[0]?.standing).toBe("closed");
    pools.of("gpu", catalog, { gpu: { [first]: { healthy: false, at: clock.now() } } });
    expect(state.report().endpoints[0]?.standing).toBe("unhealthy");
    pools.of("gpu", catalog, { gpu: { [first]: { healthy: true, at: clock.now() } } });
    expect(state.report().endpoints[0]?.standing).toBe("closed");
  });

  it("keeps the retry budget unless its ratio changes", () => {
    const { pools } = poolsOf();
    const state = pools.of("gpu", catalogOf({ gpu: poolOf(1) }), {});
    const { budget } = state;
    pools.of("gpu", catalogOf({ gpu: poolOf(2) }), {});
    expect(state.budget).toBe(budget);
    pools.of("gpu", catalogOf({ gpu: poolOf(2, { retry: { budget: 0 } }) }), {});
    expect(state.budget).not.toBe(budget);
  });
});
