import { Balancer } from "../../src/origin/balancer.ts";
import { RetryBudget } from "../../src/origin/budget.ts";
import type { Outcome } from "../../src/origin/endpoint-window.ts";
import { DEFAULT_RETRY_BUDGET } from "../../src/origin/pool.ts";
import { seededRandom } from "../origin/support.ts";
import { EventQueue } from "./event-queue.ts";

export const POINTS_OF_PRESENCE = 300;
export const ENDPOINTS = 20;
/** What an endpoint works on at once; the rest waits there, first come first served. */
const CONCURRENCY = 8;
/** About 60 % of what the pool can do. */
const REQUESTS_PER_SECOND = 1_500;
const TIMEOUT_MS = 30_000;
const SLOW_ENDPOINT = 7;
const SLOWNESS = 10;
/** Simulated time. The first seconds are nobody's: all start without knowledge. */
const PHASES = { healthy: [10_000, 20_000], slow: [20_000, 40_000], after: [40_000, 50_000] };
const END_MS = 50_000;

const URLS = Array.from({ length: ENDPOINTS }, (_, at) => `https://gpu.example/${at}`);

export type Phase = keyof typeof PHASES;
export const PHASE_NAMES = ["healthy", "slow", "after"] as const satisfies Phase[];
export const POLICIES = ["random", "round robin", "choice", "choice and hedge"] as const;
export type Policy = (typeof POLICIES)[number];

/** What those waited who asked in a phase, in milliseconds; who timed out waited 30 s. */
export interface Waits {
  readonly p50: number;
  readonly p99: number;
}

interface Request {
  readonly pop: number;
  readonly at: number;
  /** At an endpoint in good health. */
  readonly serviceMs: number;
  /** The same for a hedge: a new draw, as if slowness were the endpoint's and not the request's. */
  readonly hedgeServiceMs: number;
}

interface Choice {
  readonly endpoint: number;
  end(outcome: Outcome, now: number): void;
}

interface Chooser {
  choose(now: number): Choice;
  /** A second choice, when the first has not answered after so long. */
  readonly hedge?: {
    afterMs(now: number): number | undefined;
    choose(first: Choice, now: number): Choice | undefined;
  };
}

/** One run. For one seed, arrivals and service times are the same whatever the policy. */
export function simulate(policy: Policy, seed: number): Record<Phase, Waits> {
  const { requests, oneWayMs } = trafficOf(seededRandom(seed));
  const random = seededRandom(~seed);
  const choosers = Array.from({ length: POINTS_OF_PRESENCE }, () => chooserOf(policy, random));
  const servers = Array.from({ length: ENDPOINTS }, (_, at) => new Server(at));
  const waits: Record<Phase, number[]> = { healthy: [], slow: [], after: [] };
  const events = new EventQueue();

  const begin = (request: Request, chooser: Chooser): void => {
    const travel = oneWayMs[request.pop] ?? 0;
    const pending = new Set<Choice>();
    let done = false;
    const finish = (answering: Choice | undefined, now: number): void => {
      if (done) return;
      done = true;
      for (const choice of pending) {
        if (choice === answering) choice.end("success", now);
        else choice.end(answering === undefined ? "failure" : "outrun", now);
      }
      const phase = phaseOf(request.at);
      if (phase !== undefined) waits[phase].push(now - request.at);
    };
    const send = (choice: Choice, now: number, serviceMs: number): void => {
      pending.add(choice);
      const arrivesAt = now + travel;
      const job: Job = {
        serviceMs,
        isWanted: () => !done,
        served: (at) => events.add(at + travel, () => finish(choice, at + travel)),
      };
      events.add(arrivesAt, () => servers[choice.endpoint]?.enqueue(events, arrivesAt, job));
    };
    const giveUpAt = request.at + TIMEOUT_MS;
    events.add(giveUpAt, () => finish(undefined, giveUpAt));
    const first = chooser.choose(request.at);
    send(first, request.at, request.serviceMs);
    const afterMs = chooser.hedge?.afterMs(request.at);
    if (afterMs === undefined) return;
    const hedgeAt = request.at + afterMs;
    events.add(hedgeAt, () => {
      const second = done ? undefined : chooser.hedge?.choose(first, hedgeAt);
      if (second !== undefined) send(second, hedgeAt, request.hedgeServiceMs);
    });
  };

  const expect = (at: number): void => {
    const request = requests[at];
    const chooser = choosers[request?.pop ?? 0];
    if (request === undefined || chooser === undefined) return;
    events.add(request.at, () => {
      begin(request, chooser);
      expect(at + 1);
    });
  };
  expect(0);
  events.run();
  return {
    healthy: waitsOf(waits.healthy),
    slow: waitsOf(waits.slow),
    after: waitsOf(waits.after),
  };
}

function phaseOf(at: number): Phase | undefined {
  return PHASE_NAMES.find((phase) => isIn(phase, at));
}

function isIn(phase: Phase, at: number): boolean {
  const [from = 0, to = 0] = PHASES[phase];
  return at >= from && at < to;
}

interface Job {
  readonly serviceMs: number;
  isWanted(): boolean;
  served(now: number): void;
}

class Server {
  readonly #at: number;
  #busy = 0;
  #queue: Job[] = [];
  #next = 0;

  constructor(at: number) {
    this.#at = at;
  }

  enqueue(events: EventQueue, now: number, job: Job): void {
    this.#queue.push(job);
    this.#work(events, now);
  }

  #work(events: EventQueue, now: number): void {
    while (this.#busy < CONCURRENCY && this.#next < this.#queue.length) {
      const job = this.#queue[this.#next++];
      if (!job?.isWanted()) continue;
      this.#busy++;
      const isSlow = this.#at === SLOW_ENDPOINT && isIn("slow", now);
      const doneAt = now + job.serviceMs * (isSlow ? SLOWNESS : 1);
      events.add(doneAt, () => {
        this.#busy--;
        job.served(doneAt);
        this.#work(events, doneAt);
      });
    }
  }
}

function chooserOf(policy: Policy, random: () => number): Chooser {
  if (policy === "random") {
    return { choose: () => ({ endpoint: Math.floor(random() * ENDPOINTS), end: () => {} }) };
  }
  if (policy === "round robin") {
    let next = Math.floor(random() * ENDPOINTS);
    return { choose: () => ({ endpoint: next++ % ENDPOINTS, end: () => {} }) };
  }
  const balancer = new Balancer(random);
  const budget = new RetryBudget(DEFAULT_RETRY_BUDGET, 0);
  balancer.configure(URLS.map((url) => ({ url, weight: 1 })));
  const choose = (now: number, tried?: ReadonlySet<string>): Choice => {
    const { endpoint, end } = balancer.choose(now, tried && { tried });
    return { endpoint: URLS.indexOf(endpoint.url), end };
  };
  if (policy === "choice") return { choose };
  return {
    choose: (now) => {
      budget.earn(now);
      return choose(now);
    },
    hedge: {
      afterMs: (now) => balancer.hedgeAfterMs(now),
      choose: (first, now) =>
        budget.trySpend(now)
          ? choose(now, new Set(URLS.slice(first.endpoint, first.endpoint + 1)))
          : undefined,
    },
  };
}

/** Poisson arrivals at points of presence of very different sizes (Zipf), 5 to 80 ms away. */
function trafficOf(random: () => number): {
  readonly requests: readonly Request[];
  readonly oneWayMs: readonly number[];
} {
  const oneWayMs = Array.from({ length: POINTS_OF_PRESENCE }, () => (5 + 75 * random()) / 2);
  const sizes = Array.from({ length: POINTS_OF_PRESENCE }, (_, at) => 1 / (at + 1) ** 0.7);
  let sum = 0;
  const upTo = sizes.map((size) => (sum += size));
  const requests: Request[] = [];
  for (let at = 0; ;) {
    at -= (Math.log(1 - random()) / REQUESTS_PER_SECOND) * 1_000;
    if (at >= END_MS) return { requests, oneWayMs };
    const point = random() * sum;
    const pop = upTo.findIndex((end) => point < end);
    requests.push({
      pop,
      at,
      serviceMs: serviceTime(random),
      hedgeServiceMs: serviceTime(random),
    });
  }
}

/** Log-normal, median 40 ms; 3 of 100 are of a Pareto tail from 200 ms, cut at 5 s. The mean is about 65 ms. */
function serviceTime(random: () => number): number {
  if (random() < 0.03) return Math.min(5_000, 200 / (1 - random()) ** (1 / 1.5));
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return 40 * Math.exp(0.6 * normal);
}

function waitsOf(milliseconds: readonly number[]): Waits {
  const sorted = milliseconds.toSorted((a, b) => a - b);
  const quantile = (q: number): number => sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
  return { p50: quantile(0.5), p99: quantile(0.99) };
}
