import * as v from "valibot";

import { type CatalogNamespace, FRESH_MS, type ReadContext } from "../catalog/reader.ts";
import { EndpointHealth } from "./pool.ts";

/** Key of what the cron found, in the namespace of the catalog. */
export const HEALTH_KV_KEY = "health";
/** KV's own cache in the data centre; 30 s is its minimum. */
const KV_CACHE_SECONDS = 30;

/** By pool and by the endpoint's `url`. */
export const HealthReport = v.record(v.string(), v.record(v.string(), EndpointHealth));
export type HealthReport = v.InferOutput<typeof HealthReport>;

/**
 * The isolate's copy of what the cron found. Nobody waits for it: it is renewed after the answer, and what can't be
 * read says nothing against anybody.
 */
export class HealthReader {
  readonly #namespace: CatalogNamespace;
  readonly #onFailure: (cause: unknown) => void;
  #report: HealthReport = {};
  #text: string | undefined;
  #triedAt = Number.NEGATIVE_INFINITY;

  constructor(namespace: CatalogNamespace, onFailure: (cause: unknown) => void = () => {}) {
    this.#namespace = namespace;
    this.#onFailure = onFailure;
  }

  get(context: ReadContext): HealthReport {
    if (context.now() - this.#triedAt >= FRESH_MS) {
      this.#triedAt = context.now();
      context.waitUntil(this.#read());
    }
    return this.#report;
  }

  async #read(): Promise<void> {
    try {
      const text = await this.#namespace.get(HEALTH_KV_KEY, {
        type: "text",
        cacheTtl: KV_CACHE_SECONDS,
      });
      if (text === null || text === this.#text) return;
      this.#report = v.parse(HealthReport, JSON.parse(text));
      this.#text = text;
    } catch (error) {
      this.#onFailure(error);
    }
  }
}
