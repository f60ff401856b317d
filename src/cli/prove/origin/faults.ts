import type { PoolReport } from "../../../origin/pools.ts";
import { FAULTS, type Fault, FaultyEndpoint } from "./faulty-endpoint.ts";
import { Load, type Seen, waitOf } from "./load.ts";
import { type OriginStack, type PoolsSource, startOrigin } from "./origin-stack.ts";

/** Two of four endpoints break, each in its way. */
export type FaultPair = readonly [Fault, Fault];

/** Every two faults, and each twice. */
export const ALL_PAIRS: readonly FaultPair[] = FAULTS.flatMap((one, at) =>
  FAULTS.slice(at).map((other): FaultPair => [one, other]),
);

export interface MatrixOptions {
  readonly perSecond: number;
  readonly healthyMs: number;
  readonly brokenMs: number;
  /** Pairs at a time, each with a pool and four endpoints of its own. */
  readonly concurrency: number;
}

const DEFAULTS: MatrixOptions = {
  perSecond: 100,
  healthyMs: 2_500,
  brokenMs: 3_000,
  concurrency: 2,
};

export interface PairResult {
  readonly pair: FaultPair;
  readonly requests: number;
  /** What callers heard instead of an answer. */
  readonly problems: readonly string[];
  readonly retries: number;
  readonly hedges: number;
  /** How many of both the budget allows for so many requests in so long. */
  readonly allowed: number;
  readonly healthyP99: number;
  readonly brokenP99: number;
  /** From the repair until all four took part again; undefined when that did not come. */
  readonly recoveredMs: number | undefined;
}

export interface MatrixResult {
  readonly pairs: readonly PairResult[];
  readonly requests: number;
  readonly failures: number;
  /** Of all requests. */
  readonly success: number;
  readonly withinBudget: boolean;
  readonly recovered: boolean;
}

const ENDPOINTS = 4;
const TIMEOUT_MS = 1_000;
/** An endpoint that has failed three probes is out for 8 s at the most, and comes back with the next. */
const RECOVERY_MS = 15_000;
const RECOVERY_LOOK_MS = 100;
/** What the budget of a pool holds beside its tenth: to begin with, and at least in ten seconds. */
const BUDGET = { ratio: 0.1, initial: 10, floor: 3, floorMs: 10_000 };

/**
 * Breaks two of four endpoints, of a pool for each pair, under constant load on the origin Worker in workerd, and
 * repairs them again. Whoever calls it judges the figures.
 */
export async function runFaultMatrix(
  pairs: readonly FaultPair[] = ALL_PAIRS,
  options: Partial<MatrixOptions> = {},
  say: (line: string) => void = () => {},
): Promise<MatrixResult> {
  const settings = { ...DEFAULTS, ...options };
  const endpointsOf = new Map<FaultPair, FaultyEndpoint[]>();
  const stack = await startOrigin(async (keys) => {
    const pools: PoolsSource = {};
    for (const [at, pair] of pairs.entries()) {
      const endpoints = Array.from({ length: ENDPOINTS }, () => new FaultyEndpoint(keys));
      await Promise.all(endpoints.map((endpoint) => endpoint.start()));
      endpointsOf.set(pair, endpoints);
      pools[poolName(at)] = {
        protocol: "open-inference",
        allowPrivate: true,
        timeoutMs: TIMEOUT_MS,
        endpoints: endpoints.map(({ url }) => ({ url })),
      };
    }
    return pools;
  });
  try {
    const results: PairResult[] = [];
    const waiting = [...pairs.entries()];
    const runNext = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [at, pair] = next;
        const result = await runPair(stack, at, pair, endpointsOf.get(pair) ?? [], settings);
        results.push(result);
        say(sayPair(result));
      }
    };
    await Promise.all(Array.from({ length: settings.concurrency }, runNext));
    return summed(results);
  } finally {
    await stack.stop();
    await Promise.all([...endpointsOf.values()].flat().map((endpoint) => endpoint.stop()));
  }
}

async function runPair(
  stack: OriginStack,
  at: number,
  pair: FaultPair,
  endpoints: readonly FaultyEndpoint[],
  { perSecond, healthyMs, brokenMs }: MatrixOptions,
): Promise<PairResult> {
  const load = new Load(`${stack.url}/pools/${poolName(at)}/v2/models/m/infer`);
  const began = performance.now();
  const healthy = await load.run(perSecond, after(healthyMs));
  // Another two each time.
  const broken = [at % ENDPOINTS, (at + 1 + (at % (ENDPOINTS - 1))) % ENDPOINTS];
  for (const [index, fault] of pair.entries()) await endpoints[broken[index] ?? 0]?.become(fault);
  const failing = await load.run(perSecond, after(brokenMs));
  for (const endpoint of endpoints) await endpoint.become(undefined);
  const repaired = performance.now();
  let recoveredMs: number | undefined;
  let over = false;
  const watch = async (): Promise<void> => {
    while (recoveredMs === undefined && performance.now() - repaired < RECOVERY_MS) {
      await new Promise((resolve) => setTimeout(resolve, RECOVERY_LOOK_MS));
      if (isWhole(await reportOf(stack, at))) recoveredMs = performance.now() - repaired;
    }
    over = true;
  };
  await Promise.all([load.run(perSecond, () => over), watch()]);
  load.close();
  const { retries, hedges } = await reportOf(stack, at);
  const requests = load.seen.length;
  const { ratio, initial, floor, floorMs } = BUDGET;
  const floors = floor * (1 + (performance.now() - began) / floorMs);
  return {
    pair,
    requests,
    problems: load.seen.flatMap(({ problem }: Seen) => problem ?? []),
    retries,
    hedges,
    allowed: requests * ratio + initial + floors,
    healthyP99: waitOf(healthy, 0.99),
    brokenP99: waitOf(failing, 0.99),
    recoveredMs,
  };
}

/** Whether so much time has gone by since the call. */
function after(milliseconds: number): () => boolean {
  const from = performance.now();
  return () => performance.now() - from >= milliseconds;
}

async function reportOf(stack: OriginStack, at: number): Promise<PoolReport> {
  const report = (await stack.report())[poolName(at)];
  if (report === undefined) throw new Error("The origin Worker does not know the pool.");
  return report;
}

function isWhole({ endpoints }: PoolReport): boolean {
  return endpoints.every(({ standing }) => standing === "closed" || standing === "returning");
}

function summed(pairs: readonly PairResult[]): MatrixResult {
  const requests = pairs.reduce((sum, pair) => sum + pair.requests, 0);
  const failures = pairs.reduce((sum, { problems }) => sum + problems.length, 0);
  return {
    pairs,
    requests,
    failures,
    success: 1 - failures / requests,
    withinBudget: pairs.every(({ retries, hedges, allowed }) => retries + hedges <= allowed),
    recovered: pairs.every(({ recoveredMs }) => recoveredMs !== undefined),
  };
}

function sayPair({ pair, requests, problems, retries, hedges, ...rest }: PairResult): string {
  const { healthyP99, brokenP99, recoveredMs, allowed } = rest;
  return (
    `${pair.join(" + ")}: ${requests} requests, ${problems.length} failed, ` +
    `${retries} retries and ${hedges} hedges of ${Math.floor(allowed)}, ` +
    `p99 ${Math.round(healthyP99)} -> ${Math.round(brokenP99)} ms, ` +
    `whole again after ${recoveredMs === undefined ? "never" : `${Math.round(recoveredMs)} ms`}`
  );
}

const poolName = (at: number): string => `pool-${at}`;
