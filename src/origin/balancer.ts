import { Breaker, type Standing } from "./breaker.ts";
import type { Outcome } from "./endpoint-window.ts";
import { PeakEwma, RecentLatency } from "./latency.ts";
import type { EndpointHealth, PoolEndpoint } from "./pool.ts";

/** Any number does while no endpoint has answered: all cost the same. */
const UNKNOWN_MS = 1;
/** A clock of whole milliseconds says 0 for a quick answer, and what costs nothing would cost nothing under any load. */
const LEAST_MS = 0.5;
/** Costs that differ by less are alike: else the noise of latencies would choose, and not the weights. */
const MARKEDLY_LESS = 0.8;

export interface ChoiceOptions {
  /** Endpoints (`url`) that this request has asked already. */
  readonly tried?: ReadonlySet<string>;
  /** Whether the request can bear the risk of a probe; by default, if it has asked nobody yet. */
  readonly mayProbe?: boolean;
}

/** One request to one endpoint. It counts as in flight until `end`, which must come, whatever happens. */
export interface Attempt {
  readonly endpoint: PoolEndpoint;
  /** The first since the endpoint was ejected: its outcome decides. */
  readonly probe: boolean;
  /** The answer has begun. What a stream takes from here on is not the endpoint's latency. */
  answered(now: number): void;
  /** The endpoint has asked to be left alone for so long. */
  rest(milliseconds: number, now: number): void;
  /** Only the first call counts. */
  end(outcome: Outcome, now: number): void;
}

export interface EndpointReport {
  readonly url: string;
  readonly standing: Standing;
  readonly inFlight: number;
  readonly latencyMs: number;
}

interface Member {
  endpoint: PoolEndpoint;
  readonly ewma: PeakEwma;
  inFlight: number;
}

interface Candidate {
  readonly member: Member;
  readonly weight: number;
}

/**
 * Chooses endpoints for one pool in one isolate: power of two choices on peak EWMA times load, among those that
 * the breaker lets through.
 */
export class Balancer {
  readonly #random: () => number;
  readonly #breaker: Breaker;
  readonly #recent = new RecentLatency();
  #members: readonly Member[] = [];

  /** @param random uniform in [0, 1) */
  constructor(random: () => number) {
    this.#random = random;
    this.#breaker = new Breaker(random);
  }

  /** The pool as it is now. What is known of endpoints that stay is kept. */
  configure(
    endpoints: readonly PoolEndpoint[],
    health?: Readonly<Record<string, EndpointHealth>>,
  ): void {
    const before = new Map(this.#members.map((member) => [member.endpoint.url, member]));
    this.#members = endpoints.map((endpoint) => {
      const member = before.get(endpoint.url);
      if (member === undefined) return { endpoint, ewma: new PeakEwma(), inFlight: 0 };
      member.endpoint = endpoint;
      return member;
    });
    this.#breaker.configure(
      endpoints.map(({ url }) => url),
      health,
    );
  }

  /**
   * Chooses, and begins the attempt. Somebody is always chosen: where the breaker leaves nobody, all are in again,
   * and where all have been tried, they are tried again.
   */
  choose(now: number, options: ChoiceOptions = {}): Attempt {
    const tried = options.tried ?? new Set();
    const untried = this.#members.filter(({ endpoint }) => !tried.has(endpoint.url));
    const members = untried.length > 0 ? untried : this.#members;
    if (options.mayProbe ?? tried.size === 0) {
      const due = members.find(({ endpoint }) => this.#breaker.wantsProbe(endpoint.url, now));
      if (due !== undefined) return this.#begin(due, now);
    }
    const open: Candidate[] = [];
    for (const member of members) {
      const { url, weight } = member.endpoint;
      const share = this.#breaker.share(url, now);
      if (share > 0) open.push({ member, weight: weight * share });
    }
    if (open.length > 0) return this.#begin(this.#cheaperOfTwo(open, now), now);
    const all = members.map((member) => ({ member, weight: member.endpoint.weight }));
    return this.#begin(this.#cheaperOfTwo(all, now), now);
  }

  /** How long to wait for an answer before a hedge; undefined while too little is known. */
  hedgeAfterMs(now: number): number | undefined {
    return this.#recent.p95(now);
  }

  /** For logs and metrics. */
  report(now: number): EndpointReport[] {
    return this.#members.map(({ endpoint: { url }, ewma, inFlight }) => ({
      url,
      standing: this.#breaker.standing(url, now),
      inFlight,
      latencyMs: ewma.value(this.#bestMs(), now),
    }));
  }

  /**
   * Draws two by weight, and takes the first unless the second costs markedly less. Weights are in the draw and not
   * in the comparison: else the heavier of two would win every time while both are idle. The two draws are a random
   * distance apart on the circle of weights, never so near that both hit the same endpoint unless it has half of
   * all weight.
   */
  #cheaperOfTwo(candidates: readonly Candidate[], now: number): Member {
    const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
    const largest = Math.max(...candidates.map(({ weight }) => weight));
    const apart = Math.min(largest, total / 2);
    const at = this.#random() * total;
    const distance = apart + this.#random() * (total - 2 * apart);
    const first = candidateAt(candidates, at);
    const second = candidateAt(candidates, (at + distance) % total);
    const mean = total / candidates.length;
    const best = this.#bestMs();
    const cost = ({ member, weight }: Candidate): number =>
      Math.max(LEAST_MS, member.ewma.value(best, now)) * (1 + (member.inFlight * mean) / weight);
    return cost(second) < cost(first) * MARKEDLY_LESS ? second.member : first.member;
  }

  #bestMs(): number {
    const best = Math.min(...this.#members.map(({ ewma }) => ewma.latest ?? Infinity));
    return best === Infinity ? UNKNOWN_MS : best;
  }

  #begin(member: Member, now: number): Attempt {
    const { endpoint } = member;
    const pass = this.#breaker.begin(endpoint.url, now);
    let latencyMs: number | undefined;
    let ended = false;
    member.inFlight++;
    const answered = (at: number): void => {
      if (latencyMs !== undefined || ended) return;
      latencyMs = at - now;
      member.ewma.observe(latencyMs, at);
      this.#recent.observe(latencyMs, at);
    };
    return {
      endpoint,
      probe: pass.probe,
      answered,
      rest: (milliseconds, at) => this.#breaker.rest(endpoint.url, milliseconds, at),
      end: (outcome, at) => {
        if (ended) return;
        if (outcome === "success") answered(at);
        ended = true;
        member.inFlight--;
        // A quick refusal is no short latency.
        if (outcome !== "cancelled") member.ewma.observeAtLeast(latencyMs ?? at - now, at);
        this.#breaker.end(endpoint.url, pass, outcome, latencyMs ?? at - now, at);
      },
    };
  }
}

function candidateAt(candidates: readonly Candidate[], point: number): Candidate {
  let left = point;
  for (const candidate of candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate;
  }
  // Rounding may leave the last point just beyond the end.
  const last = candidates.at(-1);
  if (last === undefined) throw new Error("The pool has no endpoints.");
  return last;
}
