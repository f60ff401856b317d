import { type Figure, figureOf } from "./figure.ts";
import {
  type Phase,
  PHASE_NAMES,
  type Policy,
  POLICIES,
  simulate,
  type Waits,
} from "./pool-simulation.ts";
import { type Report, spread } from "./report.ts";

export interface PoolCase {
  readonly policy: Policy;
  /** Before, while and after one of the endpoints is ten times as slow. */
  readonly phase: Phase;
  /** Milliseconds of simulated time. */
  readonly p50: Figure;
  readonly p99: Figure;
}

/** What callers wait for 20 endpoints with heavy tails, chosen at 300 points of presence that don't talk to each other. */
export async function pool(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly PoolCase[] }> {
  const runs = new Map<Policy, Record<Phase, Waits>[]>(POLICIES.map((policy) => [policy, []]));
  for (let seed = 1; seed <= samples; seed++) {
    say(`seed ${seed} of ${samples}`);
    for (const policy of POLICIES) runs.get(policy)?.push(simulate(policy, seed));
  }
  const figure = (policy: Policy, phase: Phase, quantile: keyof Waits): Figure =>
    figureOf((runs.get(policy) ?? []).map((run) => Math.round(run[phase][quantile])));
  const cases = PHASE_NAMES.flatMap((phase) =>
    POLICIES.map((policy) => ({
      policy,
      phase,
      p50: figure(policy, phase, "p50"),
      p99: figure(policy, phase, "p99"),
    })),
  );
  return {
    cases,
    columns: ["one endpoint", "chosen by", "p50 ms", "p99 ms"],
    rows: cases.map(({ phase, policy, p50, p99 }) => [phase, policy, spread(p50), spread(p99)]),
    picture: {
      title: "300 points of presence, 20 endpoints, one of them 10 times as slow for 20 s: p99",
      unit: "ms",
      bars: cases.map(({ phase, policy, p99 }) => ({
        label: `${phase}: ${policy}`,
        figure: p99,
        kind: policy,
      })),
    },
  };
}
