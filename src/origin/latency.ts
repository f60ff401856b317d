import { addValue, emptyHistogram, mergeHistograms, quantile } from "../rollout/histogram.ts";

/** Finagle's default: a peak is forgotten to a third in 10 s (com.twitter.finagle.loadbalancer.PeakEwma). */
const DECAY_MS = 10_000;
/** The quantile covers this much and at most twice this much of the past. */
const WINDOW_MS = 30_000;
/** With fewer answers the 95th percentile is the slowest one, which says nothing. */
const MIN_SAMPLES = 20;
/** The quantile is computed anew this often: sorting the buckets costs more than a request's choice. */
const REFRESH_MS = 1_000;

/**
 * An endpoint's latency as a balancer should see it, after Finagle's peak EWMA: a slow answer counts at once and
 * in full, fast ones win it back with time. What hasn't been heard of for a while is taken for as good as the best
 * of the pool, so that it is tried again. (Finagle's goes to zero, which sends a crowd to whoever was silent; a
 * typical value would leave out for good whoever is not quite typical.)
 */
export class PeakEwma {
  #milliseconds: number | undefined;
  #at = 0;

  observe(milliseconds: number, now: number): void {
    const known = this.#milliseconds;
    if (known === undefined || milliseconds > known) this.#milliseconds = milliseconds;
    else this.#milliseconds = milliseconds + (known - milliseconds) * this.#left(now);
    this.#at = now;
  }

  /** For an attempt that ended without an answer: it can only make things look worse. */
  observeAtLeast(milliseconds: number, now: number): void {
    if (milliseconds > (this.#milliseconds ?? 0)) this.observe(milliseconds, now);
  }

  /** As last observed, in milliseconds; undefined when it never was. */
  get latest(): number | undefined {
    return this.#milliseconds;
  }

  /** @param best milliseconds that an unknown endpoint is taken to need */
  value(best: number, now: number): number {
    if (this.#milliseconds === undefined) return best;
    return best + (this.#milliseconds - best) * this.#left(now);
  }

  #left(now: number): number {
    return Math.exp(-Math.max(0, now - this.#at) / DECAY_MS);
  }
}

/**
 * What answers took lately, as a histogram of two windows of which the older is dropped. One for a whole pool:
 * a hedge has to wait for what the pool can do, not for what a slow endpoint does.
 */
export class RecentLatency {
  #current = emptyHistogram();
  #previous = emptyHistogram();
  #since = 0;
  #known: { readonly at: number; readonly p95: number } | undefined;

  observe(milliseconds: number, now: number): void {
    this.#rotate(now);
    addValue(this.#current, milliseconds);
  }

  /** @returns milliseconds; undefined while too little is known */
  p95(now: number): number | undefined {
    if (this.#known !== undefined && now - this.#known.at < REFRESH_MS) return this.#known.p95;
    this.#rotate(now);
    const all = mergeHistograms(this.#previous, this.#current);
    const p95 = all.count < MIN_SAMPLES ? undefined : quantile(all, 0.95);
    this.#known = p95 === undefined ? undefined : { at: now, p95 };
    return p95;
  }

  #rotate(now: number): void {
    const age = now - this.#since;
    if (age < WINDOW_MS) return;
    this.#previous = age < 2 * WINDOW_MS ? this.#current : emptyHistogram();
    this.#current = emptyHistogram();
    this.#since = now;
  }
}
