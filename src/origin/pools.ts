import type { Catalog } from "../catalog/catalog.ts";
import { NearsideError } from "../errors.ts";
import type { Log } from "../telemetry/log.ts";
import { Admission, type Clock } from "./admission.ts";
import { type Attempt, Balancer, type EndpointReport } from "./balancer.ts";
import type { Standing } from "./breaker.ts";
import { RetryBudget } from "./budget.ts";
import { isPrivateAddress } from "./endpoint-guard.ts";
import type { Outcome } from "./endpoint-window.ts";
import type { HealthReport } from "./health-reader.ts";
import type { OriginPool } from "./pool.ts";

/** What an isolate has seen of a pool since it knows it. */
export interface PoolCounters {
  requests: number;
  answered: number;
  /** The request was at fault. */
  rejected: number;
  failed: number;
  /** By admission. */
  refused: number;
  /** The caller left. */
  abandoned: number;
  attempts: number;
  retries: number;
  hedges: number;
  hedgesWon: number;
  /** Retries and hedges for which the budget had nothing left. */
  denied: number;
}

export interface PoolReport extends Readonly<PoolCounters> {
  readonly inFlight: number;
  readonly waiting: number;
  readonly endpoints: readonly EndpointReport[];
}

interface PoolsOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** One pool, as this isolate knows it. */
export class PoolState {
  readonly name: string;
  readonly counters: PoolCounters = {
    requests: 0,
    answered: 0,
    rejected: 0,
    failed: 0,
    refused: 0,
    abandoned: 0,
    attempts: 0,
    retries: 0,
    hedges: 0,
    hedgesWon: 0,
    denied: 0,
  };
  readonly balancer: Balancer;
  readonly admission: Admission;
  readonly #options: PoolsOptions;
  #config: OriginPool;
  #health: HealthReport[string] | undefined;
  #budget: RetryBudget;
  #endpoints = 0;
  #standings = new Map<string, Standing>();

  constructor(name: string, config: OriginPool, options: PoolsOptions) {
    this.name = name;
    this.#options = options;
    this.#config = config;
    this.balancer = new Balancer(options.random);
    this.admission = new Admission(config, options.clock);
    this.#budget = new RetryBudget(config.retry.budget, options.clock.now());
    this.#apply(config, undefined);
  }

  get config(): OriginPool {
    return this.#config;
  }

  get budget(): RetryBudget {
    return this.#budget;
  }

  /** How many endpoints may be asked. */
  get endpoints(): number {
    return this.#endpoints;
  }

  /** The pool as it is now. What is known of endpoints that stay is kept. */
  configure(config: OriginPool, health: HealthReport[string] | undefined): void {
    if (config === this.#config && health === this.#health) return;
    if (config.retry.budget !== this.#config.retry.budget) {
      this.#budget = new RetryBudget(config.retry.budget, this.#options.clock.now());
    }
    this.admission.configure(config);
    this.#apply(config, health);
  }

  /** Ends an attempt, and says so in the log when its endpoint is out by that, or in again. */
  end(attempt: Attempt, outcome: Outcome): void {
    const now = this.#options.clock.now();
    attempt.end(outcome, now);
    const { url } = attempt.endpoint;
    // Only these change a standing, and looking costs more than a request should.
    if (outcome === "cancelled" || (outcome === "success" && !this.#standings.has(url))) return;
    const standing = this.balancer.report(now).find((one) => one.url === url)?.standing;
    if (standing === undefined || standing === this.#standings.get(url)) return;
    const isOut = standing === "ejected";
    if (isOut) {
      this.#standings.set(url, standing);
      this.#options.log.warn("endpoint_ejected", { pool: this.name, endpoint: url });
    } else if (standing !== "half_open" && standing !== "unhealthy") {
      if (!this.#standings.delete(url)) return;
      this.#options.log.warn("endpoint_returned", { pool: this.name, endpoint: url });
    }
  }

  report(): PoolReport {
    const { inFlight, waiting } = this.admission;
    const endpoints = this.balancer.report(this.#options.clock.now());
    return { ...this.counters, inFlight, waiting, endpoints };
  }

  #apply(config: OriginPool, health: HealthReport[string] | undefined): void {
    this.#config = config;
    this.#health = health;
    // The catalog's schema refuses these; whoever writes the catalog past it is not believed.
    const endpoints = config.endpoints.filter(
      ({ url }) => config.allowPrivate || !isPrivateAddress(url),
    );
    this.#endpoints = endpoints.length;
    this.balancer.configure(endpoints, health);
    const urls = new Set(endpoints.map(({ url }) => url));
    for (const url of this.#standings.keys()) if (!urls.has(url)) this.#standings.delete(url);
  }
}

/** The pools of the catalog, with what this isolate knows of each. */
export class Pools {
  readonly #options: PoolsOptions;
  readonly #states = new Map<string, PoolState>();
  #seen: Catalog | undefined;

  constructor(options: PoolsOptions) {
    this.#options = options;
  }

  /** @throws NearsideError `pool_not_found` */
  of(name: string, catalog: Catalog, health: HealthReport): PoolState {
    if (catalog !== this.#seen) {
      this.#seen = catalog;
      for (const known of this.#states.keys()) {
        if (poolOf(catalog, known) === undefined) this.#states.delete(known);
      }
    }
    const config = poolOf(catalog, name);
    if (config === undefined) {
      throw new NearsideError("pool_not_found", "The origin pool of this model is not there.");
    }
    let state = this.#states.get(name);
    if (state === undefined) {
      state = new PoolState(name, config, this.#options);
      this.#states.set(name, state);
    }
    state.configure(config, health[name]);
    return state;
  }

  report(): Record<string, PoolReport> {
    return Object.fromEntries([...this.#states].map(([name, state]) => [name, state.report()]));
  }
}

function poolOf({ pools = {} }: Catalog, name: string): OriginPool | undefined {
  return Object.hasOwn(pools, name) ? pools[name] : undefined;
}
