/**
 * How an attempt ended. `outrun`: nobody waited any longer, by when 95 of 100 answers are there, so it lasted at
 * least that long; `cancelled`: it was cut short by others, which says nothing of the endpoint.
 */
export type Outcome = "success" | "failure" | "outrun" | "cancelled";

/** The window covers this much and at most twice this much of the past. */
const HALF_WINDOW_MS = 5_000;

interface Counts {
  successes: number;
  failures: number;
  timed: number;
  /** Sum of the logarithms of milliseconds. */
  logs: number;
}

/** What an endpoint did in the last 5 to 10 s. */
export interface WindowSummary {
  /** Attempts that succeeded or failed. */
  readonly volume: number;
  readonly successRate: number;
  /** Attempts that took as long as the endpoint takes, or at least as long. */
  readonly timed: number;
  /** Their geometric mean: one answer of a heavy tail doesn't make an endpoint slow, as in the arithmetic mean. */
  readonly milliseconds: number;
}

/** Outcomes of one endpoint, in two halves of which the older is dropped. */
export class EndpointWindow {
  #current = emptyCounts();
  #previous = emptyCounts();
  #since = 0;

  add(outcome: Outcome, milliseconds: number, now: number): void {
    this.#rotate(now);
    if (outcome === "success") this.#current.successes++;
    if (outcome === "failure") this.#current.failures++;
    // A failure may take no time or all of it; neither is the endpoint's latency.
    if (outcome === "failure") return;
    this.#current.timed++;
    this.#current.logs += Math.log(Math.max(milliseconds, 1e-3));
  }

  summary(now: number): WindowSummary {
    this.#rotate(now);
    const [a, b] = [this.#current, this.#previous];
    const successes = a.successes + b.successes;
    const volume = successes + a.failures + b.failures;
    const timed = a.timed + b.timed;
    return {
      volume,
      successRate: volume === 0 ? 1 : successes / volume,
      timed,
      milliseconds: timed === 0 ? 0 : Math.exp((a.logs + b.logs) / timed),
    };
  }

  #rotate(now: number): void {
    const age = now - this.#since;
    if (age < HALF_WINDOW_MS) return;
    this.#previous = age < 2 * HALF_WINDOW_MS ? this.#current : emptyCounts();
    this.#current = emptyCounts();
    this.#since = now;
  }
}

function emptyCounts(): Counts {
  return { successes: 0, failures: 0, timed: 0, logs: 0 };
}
