/** How often something happened, and how long it took in all. */
export interface DurationSum {
  readonly count: number;
  readonly ns: number;
}

/** The requests that one version was chosen for, of all isolates. Times are milliseconds since 1970. */
export interface VersionCounts {
  readonly version: number;
  /** The first request that was counted, and the last. */
  readonly first: number;
  readonly last: number;
  readonly success: DurationSum;
  readonly fail: DurationSum;
}

/** What the edge asks of the control plane, by the binding `STATISTICS`. */
export interface StatisticsService {
  /** Versions that nobody has asked for are absent. */
  counts(models: readonly string[]): Promise<Readonly<Record<string, readonly VersionCounts[]>>>;
}

/** What is told of all models costs a Durable Object for each: so long it is told again. */
const KEPT_MS = 5_000;

export interface ReadCounts {
  readonly counts: Awaited<ReturnType<StatisticsService["counts"]>>;
  /** When the control plane said so. */
  readonly at: number;
}

/** Asks the control plane, and keeps its last answer about several models for a moment. */
export class StatisticsReader {
  readonly #service: StatisticsService;
  #last: (ReadCounts & { readonly asked: string }) | undefined;

  constructor(service: StatisticsService) {
    this.#service = service;
  }

  async counts(models: readonly string[], now: number): Promise<ReadCounts> {
    const asked = models.join();
    if (this.#last?.asked === asked && now - this.#last.at < KEPT_MS) return this.#last;
    // Requests that come together ask each for itself: what one of them waits for must not be another's.
    const read = { counts: await this.#service.counts(models), at: now };
    if (models.length > 1) this.#last = { ...read, asked };
    return read;
  }
}
