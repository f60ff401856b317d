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
