import { EndpointWindow, type Outcome, type WindowSummary } from "./endpoint-window.ts";
import { type EndpointHealth, HEALTH_MAX_AGE_MS } from "./pool.ts";

/** Nobody fails five times in a row by chance: at 10 % errors that is one in 100,000. */
export const CONSECUTIVE_FAILURES = 5;
/** Below the others' mean success rate by so many deviations: Envoy's success_rate_stdev_factor. */
const OUTLYING_DEVIATIONS = 1.9;
/** The least deviation: where the others never fail, one failure in ten is not yet an outlier. */
const MIN_DEVIATION = 0.06;
/** Times the pool's median. Hardware differs by two or three; ten is a broken one. */
export const OUTLYING_LATENCY = 5;
/** Requests in the window below which a rate says nothing. */
const MIN_VOLUME = 10;
/** Of the endpoints may be out when an outlier is ejected: if most look odd, it's not they. */
const MAX_OUTLIERS = 0.5;
/** An endpoint is compared with the others this often at the most. */
const COMPARE_MS = 1_000;
const FIRST_EJECTION_MS = 1_000;
export const LONGEST_EJECTION_MS = 60_000;
/** A probe of which nothing was heard for so long was lost with its request. */
export const PROBE_LOST_MS = 30_000;
/** The slow return: an engine that has just started has cold caches. */
export const RETURN_MS = 10_000;
const RETURN_SHARE = 0.1;
/** Good for so long after its return, an endpoint's next ejection is a short one again. */
const FORGIVEN_MS = 60_000;

/** An endpoint that asks for more rest than this is asked again all the same. */
export const LONGEST_REST_MS = 60_000;

/** `unhealthy` by the cron's word, `resting` by its own (`Retry-After`), all else by what this isolate saw. */
export type Standing = "closed" | "returning" | "resting" | "half_open" | "ejected" | "unhealthy";

/** What `begin` gives and `end` takes back. */
export interface Pass {
  /** Of the endpoint's state: what began before an ejection says nothing about what comes after it. */
  readonly epoch: number;
  readonly probe: boolean;
}

interface State {
  epoch: number;
  failuresInARow: number;
  ejections: number;
  /** Until when it's out; stays while it's half open. */
  until: number | undefined;
  returnedAt: number | undefined;
  probeAt: number | undefined;
  /** Until when it has asked to be left alone. */
  restsUntil: number;
  comparedAt: number;
  window: EndpointWindow;
}

/**
 * Which endpoints of a pool may be asked. One is ejected after consecutive failures, or when its success rate or
 * latency lies far from the others'; after a back-off that grows from 1 s to 60 s, one probe at a time decides
 * whether it returns, slowly, or stays out for longer. When all are out, all are in: see `share`.
 */
export class Breaker {
  readonly #random: () => number;
  #states = new Map<string, State>();
  #health: Readonly<Record<string, EndpointHealth>> = {};

  /** @param random uniform in [0, 1): jitter of the back-off */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The pool as it is now. Endpoints that were known keep their state. */
  configure(urls: readonly string[], health: Readonly<Record<string, EndpointHealth>> = {}): void {
    const before = this.#states;
    this.#states = new Map(urls.map((url) => [url, before.get(url) ?? newState()]));
    this.#health = health;
  }

  standing(url: string, now: number): Standing {
    const health = this.#health[url];
    if (health?.healthy === false && now - health.at < HEALTH_MAX_AGE_MS) return "unhealthy";
    const { until, returnedAt, restsUntil } = this.#state(url);
    if (until !== undefined && now < until) return "ejected";
    if (now < restsUntil) return "resting";
    if (until !== undefined) return "half_open";
    return returnedAt !== undefined && now - returnedAt < RETURN_MS ? "returning" : "closed";
  }

  /** The part of its weight that an endpoint takes: 1 when closed, rising from 0.1 on its return, else 0. */
  share(url: string, now: number): number {
    const standing = this.standing(url, now);
    if (standing === "closed") return 1;
    if (standing !== "returning") return 0;
    const back = (now - (this.#state(url).returnedAt ?? now)) / RETURN_MS;
    return RETURN_SHARE + (1 - RETURN_SHARE) * back;
  }

  /** Whether the endpoint is half open, and nobody is probing it. */
  wantsProbe(url: string, now: number): boolean {
    return this.standing(url, now) === "half_open" && !isProbing(this.#state(url), now);
  }

  /** An attempt begins, whatever the endpoint's standing: when all are out, somebody has to be asked. */
  begin(url: string, now: number): Pass {
    const state = this.#state(url);
    const probe = this.wantsProbe(url, now);
    if (probe) state.probeAt = now;
    return { epoch: state.epoch, probe };
  }

  /** The endpoint has asked for a rest: until it is over, others are asked. */
  rest(url: string, milliseconds: number, now: number): void {
    const state = this.#states.get(url);
    if (state === undefined) return;
    const until = now + Math.min(milliseconds, LONGEST_REST_MS);
    state.restsUntil = Math.max(state.restsUntil, until);
  }

  /** @param milliseconds how long the attempt took */
  end(url: string, pass: Pass, outcome: Outcome, milliseconds: number, now: number): void {
    const state = this.#states.get(url);
    if (state === undefined || state.epoch !== pass.epoch) return;
    if (pass.probe) state.probeAt = undefined;
    if (outcome === "cancelled") return;
    if (state.until !== undefined) {
      const good = outcome === "success" && !this.#isSlow(state, milliseconds, now);
      if (good) takeBack(state, now);
      else if (pass.probe) this.#eject(state, now);
      return;
    }
    state.window.add(outcome, milliseconds, now);
    // One that hangs is always outrun and never fails, so that counts alike; by chance, one in 20 is outrun.
    state.failuresInARow = outcome === "success" ? 0 : state.failuresInARow + 1;
    if (state.failuresInARow >= CONSECUTIVE_FAILURES) this.#eject(state, now);
    else if (this.#isOutlier(state, now)) this.#eject(state, now);
  }

  #state(url: string): State {
    const state = this.#states.get(url);
    if (state === undefined) throw new Error(`The pool has no endpoint ${url}.`);
    return state;
  }

  #eject(state: State, now: number): void {
    const { returnedAt } = state;
    if (returnedAt !== undefined && now - returnedAt >= FORGIVEN_MS) state.ejections = 0;
    state.returnedAt = undefined;
    const backOff = Math.min(LONGEST_EJECTION_MS, FIRST_EJECTION_MS * 2 ** state.ejections);
    state.ejections++;
    // Jitter, so that isolates that saw the same outage don't all come back at once.
    state.until = now + backOff * (0.5 + this.#random() / 2);
    startOver(state);
  }

  #isOutlier(state: State, now: number): boolean {
    const own = state.window.summary(now);
    if (Math.max(own.volume, own.timed) < MIN_VOLUME) return false;
    if (now - state.comparedAt < COMPARE_MS) return false;
    state.comparedAt = now;
    const out = [...this.#states.keys()].filter((url) => this.share(url, now) === 0).length;
    if (out + 1 > this.#states.size * MAX_OUTLIERS) return false;
    if (own.timed >= MIN_VOLUME && this.#isSlow(state, own.milliseconds, now)) return true;
    const rates = this.#others(state, now)
      .filter(({ volume }) => volume >= MIN_VOLUME)
      .map(({ successRate }) => successRate);
    if (own.volume < MIN_VOLUME || rates.length === 0) return false;
    const mean = meanOf(rates);
    const deviation = Math.sqrt(meanOf(rates.map((rate) => (rate - mean) ** 2)));
    return own.successRate < mean - OUTLYING_DEVIATIONS * Math.max(deviation, MIN_DEVIATION);
  }

  #isSlow(state: State, milliseconds: number, now: number): boolean {
    const others = this.#others(state, now)
      .filter(({ timed }) => timed >= MIN_VOLUME)
      .map((other) => other.milliseconds)
      .sort((a, b) => a - b);
    const median = others[(others.length - 1) >> 1];
    return median !== undefined && milliseconds > OUTLYING_LATENCY * median;
  }

  /** What's known of the rest of the pool: an endpoint is no part of what it's measured against. */
  #others(state: State, now: number): WindowSummary[] {
    return [...this.#states.values()]
      .filter((other) => other !== state)
      .map((other) => other.window.summary(now));
  }
}

function newState(): State {
  return {
    epoch: 0,
    failuresInARow: 0,
    ejections: 0,
    until: undefined,
    returnedAt: undefined,
    probeAt: undefined,
    restsUntil: 0,
    comparedAt: 0,
    window: new EndpointWindow(),
  };
}

function takeBack(state: State, now: number): void {
  state.until = undefined;
  state.returnedAt = now;
  startOver(state);
}

function startOver(state: State): void {
  state.epoch++;
  state.failuresInARow = 0;
  state.probeAt = undefined;
  state.window = new EndpointWindow();
}

function isProbing({ probeAt }: State, now: number): boolean {
  return probeAt !== undefined && now - probeAt < PROBE_LOST_MS;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
