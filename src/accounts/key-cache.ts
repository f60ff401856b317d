/** How long an isolate trusts what it has read of a key or account. */
export const FOUND_SECONDS = 60;
/** Short: a key that was made a moment ago must work soon. */
export const MISSING_SECONDS = 10;
/** `cacheTtl` of the KV reads behind the cache; KV allows no less. */
export const KV_CACHE_SECONDS = 30;
/** A revoked key, or suspended account, is refused everywhere after so long. */
export const REVOCATION_SECONDS = FOUND_SECONDS + KV_CACHE_SECONDS;

/** At about 1 kB each, found entries stay under a tenth of an isolate's memory. */
const MAX_ENTRIES = 10_000;
/** Missing ones have a share of their own, so that a flood of made-up keys evicts no real one. */
const MISSING_SHARE = 0.1;

interface Entry<T> {
  readonly value: T;
  readonly readAt: number;
}

/**
 * What an isolate remembers of keys and accounts: bounded, least recently used out first.
 *
 * Requests that miss at the same time each read for themselves: I/O belongs to the request that
 * started it, and is cancelled with it.
 *
 * @example
 * ```ts
 * const record = await cache.get(hash, now, () => readKeyRecord(env.KEYS, hash));
 * ```
 */
export class KeyCache<T extends object> {
  readonly #found: LruMap<Entry<T>>;
  readonly #missing: LruMap<Entry<undefined>>;

  constructor(maxEntries: number = MAX_ENTRIES) {
    const missing = Math.ceil(maxEntries * MISSING_SHARE);
    this.#found = new LruMap(maxEntries - missing);
    this.#missing = new LruMap(missing);
  }

  get size(): number {
    return this.#found.size + this.#missing.size;
  }

  /** What is known of `id`, or else read. A failed read is not remembered. */
  async get(id: string, now: number, read: () => Promise<T | undefined>): Promise<T | undefined> {
    const found = this.#found.get(id);
    if (found !== undefined && isFresh(found, now, FOUND_SECONDS)) return found.value;
    const missing = this.#missing.get(id);
    if (missing !== undefined && isFresh(missing, now, MISSING_SECONDS)) return undefined;
    const value = await read();
    this.#keep(id, value, now);
    return value;
  }

  #keep(id: string, value: T | undefined, readAt: number): void {
    const known = this.#found.get(id) ?? this.#missing.get(id);
    // A read that began earlier may have seen the key before it was revoked.
    if (known !== undefined && known.readAt > readAt) return;
    this.#found.delete(id);
    this.#missing.delete(id);
    if (value === undefined) this.#missing.set(id, { value, readAt });
    else this.#found.set(id, { value, readAt });
  }
}

/** An entry's age counts from the start of its read: by its end, the answer may have changed. */
function isFresh({ readAt }: Entry<unknown>, now: number, seconds: number): boolean {
  return now - readAt < seconds * 1000;
}

/** Maps iterate in the order of insertion, so the first key is the least recently used. */
class LruMap<T> {
  readonly #entries = new Map<string, T>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: string, value: T): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#limit) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
