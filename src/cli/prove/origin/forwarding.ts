import { type OriginCase, origin } from "../../../../test/bench/origin.ts";
import { type PoolCase, pool } from "../../../../test/bench/pool.ts";
import type { Phase, Policy } from "../../../../test/bench/pool-simulation.ts";
import { type Check, hold } from "../check.ts";

const SAMPLES = 3;
const MOST_ADDED_MS = 1;
/** Ten times what it takes: a noisy machine is no leak. */
const MOST_GROWN_MB = 50;
const MOST_P99_RATIO = 2;

/** The benchmark `origin`. */
export const forwarding: Check<undefined> = {
  claim:
    "forwarding adds at most 1 ms at the median; two of four broken endpoints at most double the 99th percentile; 100 MB stream through without being held",
  async run() {
    const cases: readonly OriginCase[] = (await origin(SAMPLES, () => {})).cases;
    const figure = (name: string): number => {
      const found = cases.flatMap(({ figures }) => Object.entries(figures));
      const [, value] = found.find(([one]) => one === name) ?? [];
      hold(value !== undefined, `the benchmark does not tell "${name}"`);
      return value.median;
    };
    const added = figure("added ms");
    const [healthy, broken] = [figure("healthy ms"), figure("broken ms")];
    const grown = figure("grownMB");
    hold(added <= MOST_ADDED_MS, `it adds ${added} ms`);
    hold(
      broken <= healthy * MOST_P99_RATIO,
      `p99 is ${broken} ms with two broken, ${healthy} without`,
    );
    hold(figure("failed") === 0, "a request failed that a retry could have saved");
    hold(grown <= MOST_GROWN_MB, `workerd grew by ${grown} MB`);
    return {
      addedMs: added,
      healthyP99Ms: healthy,
      brokenP99Ms: broken,
      streamGrownMB: grown,
    };
  },
};

const SLOW: Phase = "slow";

/** The benchmark `pool`. */
export const simulation: Check<undefined> = {
  claim:
    "in a simulation of 300 points of presence and 20 endpoints, one of them slow, our choice has a lower 99th percentile than random and round-robin",
  async run() {
    const cases: readonly PoolCase[] = (await pool(1, () => {})).cases;
    const p99 = (policy: Policy): number => {
      const found = cases.find((one) => one.policy === policy && one.phase === SLOW);
      hold(found !== undefined, `the benchmark does not tell of "${policy}"`);
      return found.p99.median;
    };
    const ours = p99("choice and hedge");
    for (const other of ["random", "round robin", "choice"] as const) {
      hold(ours < p99(other), `p99 is ${ours} ms, and ${p99(other)} ms by ${other}`);
    }
    return {
      slowP99Ms: ours,
      slowP99ByChoiceAloneMs: p99("choice"),
      slowP99ByRandomMs: p99("random"),
      slowP99ByRoundRobinMs: p99("round robin"),
    };
  },
};
