import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { Catalog } from "./catalog.ts";

/** Key of the compiled catalog in KV. */
export const CATALOG_KV_KEY = "catalog";

/** Younger than this, the catalog is used as it is. */
export const FRESH_MS = 10_000;

/** Older than this, a request waits for a new one (and goes on with the old one if there is none to be had). */
export const STALE_MS = 60_000;

/** KV's own cache in the data centre; 30 s is its minimum. */
const KV_CACHE_SECONDS = 30;

/** A read of KV that takes longer counts as failed: less where an old copy can answer instead. */
const READ_TIMEOUT_MS = 5_000;
const RENEWAL_TIMEOUT_MS = 500;

/** The part of a KV namespace that the reader needs. */
export interface CatalogNamespace {
  get(key: string, options: { type: "text"; cacheTtl: number }): Promise<string | null>;
}

export interface ReadContext {
  now(): number;
  waitUntil(promise: Promise<unknown>): void;
}

export interface CatalogStats {
  readonly reads: number;
  readonly failures: number;
}

/**
 * The isolate's copy of the catalog. A fresh copy costs nothing; one between `FRESH_MS` and `STALE_MS`
 * is used at once and renewed after the answer. A read that fails or does not validate leaves the last
 * good copy in place.
 *
 * A change is seen within `FRESH_MS` + 30 s (KV's cache) + KV's own propagation on an isolate with traffic.
 */
export class CatalogReader {
  readonly #namespace: CatalogNamespace;
  readonly #onFailure: (cause: unknown) => void;
  #catalog: Catalog | undefined;
  #text: string | undefined;
  #triedAt = Number.NEGATIVE_INFINITY;
  #readAt = Number.NEGATIVE_INFINITY;
  #reads = 0;
  #failures = 0;

  constructor(namespace: CatalogNamespace, onFailure: (cause: unknown) => void = () => {}) {
    this.#namespace = namespace;
    this.#onFailure = onFailure;
  }

  /** @throws NearsideError `catalog_unavailable` when no catalog was ever read */
  async get(context: ReadContext): Promise<Catalog> {
    const now = context.now();
    if (this.#catalog && now - this.#readAt < FRESH_MS) return this.#catalog;

    // No promise is shared between requests here: one that dies with its request would leave the others waiting.
    const recentlyTried = now - this.#triedAt < FRESH_MS;
    if (this.#catalog && (recentlyTried || now - this.#readAt < STALE_MS)) {
      if (!recentlyTried) context.waitUntil(this.#read(context));
      return this.#catalog;
    }
    await this.#read(context);
    if (this.#catalog) return this.#catalog;
    throw new NearsideError(
      "catalog_unavailable",
      "The catalog of models can't be read right now.",
      {
        retryAfterSeconds: 1,
      },
    );
  }

  stats(): CatalogStats {
    return { reads: this.#reads, failures: this.#failures };
  }

  async #read(context: ReadContext): Promise<void> {
    this.#triedAt = context.now();
    this.#reads++;
    const timeoutMs = this.#catalog === undefined ? READ_TIMEOUT_MS : RENEWAL_TIMEOUT_MS;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("KV did not answer in time.")), timeoutMs);
      });
      const read = this.#namespace.get(CATALOG_KV_KEY, {
        type: "text",
        cacheTtl: KV_CACHE_SECONDS,
      });
      const text = await Promise.race([read, timeout]);
      if (text === null)
        throw new Error(`KV holds no "${CATALOG_KV_KEY}": nothing was published yet.`);
      if (text !== this.#text) {
        const catalog = v.parse(Catalog, JSON.parse(text));
        // A slow read may end after a later one, with what the later one has replaced.
        if (catalog.number >= (this.#catalog?.number ?? 0)) {
          this.#catalog = catalog;
          this.#text = text;
        }
      }
      this.#readAt = context.now();
    } catch (error) {
      this.#failures++;
      this.#onFailure(error);
    } finally {
      clearTimeout(timer);
    }
  }
}
