/** One request in flight. */
export interface Visit {
  readonly since: number;
}

/**
 * A request whose caller went away may be dropped in the middle, and then never ends: older than this it
 * is not counted. Longer than a slow upload and a slow load together.
 */
const LOST_MS = 60_000;

/** What happens in this isolate: requests in flight, and how long there have been none. */
export class Activity {
  /** In the order of their beginning. */
  readonly #visits = new Set<Visit>();
  #lastEnd = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds since the epoch */
  begin(now: number): Visit {
    const visit = { since: now };
    this.#visits.add(visit);
    return visit;
  }

  end(visit: Visit, now: number): void {
    if (this.#visits.delete(visit)) this.#lastEnd = now;
  }

  /** Milliseconds since the last request ended; 0 while one is in flight. */
  quietFor(now: number): number {
    for (const visit of this.#visits) {
      if (now - visit.since < LOST_MS) return 0;
      this.#visits.delete(visit);
    }
    return now - this.#lastEnd;
  }
}
