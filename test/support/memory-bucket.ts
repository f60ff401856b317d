import { createHash } from "node:crypto";

import type {
  BucketPage,
  ListOptions,
  PublishBucket,
  PublishNamespace,
  PublishTarget,
  PutConditions,
} from "../../src/publish/bucket.ts";

const PAGE_OBJECTS = 1000;

export interface StoredObject {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  readonly uploaded: Date;
  text(): Promise<string>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** R2's verbs over a map: an etag is the MD5 of the bytes, and a condition is checked when the write happens. */
export class MemoryBucket implements PublishBucket {
  readonly #objects = new Map<string, StoredObject>();
  readonly #now: () => number;

  constructor(now = () => Date.now()) {
    this.#now = now;
  }

  head(key: string): Promise<StoredObject | null> {
    return Promise.resolve(this.#objects.get(key) ?? null);
  }

  get(key: string): Promise<StoredObject | null> {
    return this.head(key);
  }

  put(
    key: string,
    value: Uint8Array | string,
    { onlyIf = {} }: { onlyIf?: PutConditions } = {},
  ): Promise<StoredObject | null> {
    if (!holds(onlyIf, this.#objects.get(key)?.etag)) return Promise.resolve(null);
    const bytes = new Uint8Array(
      typeof value === "string" ? new TextEncoder().encode(value) : value,
    );
    const object = {
      key,
      size: bytes.length,
      etag: createHash("md5").update(bytes).digest("hex"),
      uploaded: new Date(this.#now()),
      text: () => Promise.resolve(new TextDecoder().decode(bytes)),
      arrayBuffer: () => Promise.resolve(bytes.slice().buffer),
    };
    this.#objects.set(key, object);
    return Promise.resolve(object);
  }

  list({ prefix = "", limit = PAGE_OBJECTS, cursor = "" }: ListOptions = {}): Promise<BucketPage> {
    const rest = [...this.#objects.values()]
      .filter(({ key }) => key.startsWith(prefix) && key > cursor)
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const objects = rest.slice(0, Math.min(limit, PAGE_OBJECTS));
    const last = objects.at(-1);
    return Promise.resolve(
      last !== undefined && objects.length < rest.length
        ? { objects, truncated: true, cursor: last.key }
        : { objects, truncated: false },
    );
  }

  delete(keys: string | string[]): Promise<void> {
    for (const key of [keys].flat()) this.#objects.delete(key);
    return Promise.resolve();
  }

  /** What the bucket holds: etags by key, in the order of keys. */
  contents(): Record<string, string> {
    const entries = [...this.#objects].map(([key, { etag }]) => [key, etag] as const);
    return Object.fromEntries(entries.toSorted(([a], [b]) => a.localeCompare(b)));
  }
}

function holds(
  { etagMatches, etagDoesNotMatch }: PutConditions,
  etag: string | undefined,
): boolean {
  const matches = (wanted: string): boolean =>
    etag !== undefined && (wanted === "*" || wanted === etag);
  if (etagMatches !== undefined && !matches(etagMatches)) return false;
  return etagDoesNotMatch === undefined || !matches(etagDoesNotMatch);
}

export class MemoryNamespace implements PublishNamespace {
  readonly values = new Map<string, string>();

  get(key: string): Promise<string | null> {
    return Promise.resolve(this.values.get(key) ?? null);
  }

  put(key: string, value: string): Promise<void> {
    this.values.set(key, value);
    return Promise.resolve();
  }
}

export interface WriteHooks {
  before?(key: string): void | Promise<void>;
  after?(key: string): void | Promise<void>;
}

/** The same bucket and namespace, with every write announced; a hook that throws interrupts. */
export function withHooks(target: PublishTarget, { before, after }: WriteHooks): PublishTarget {
  const hooked = async <T>(key: string, write: () => Promise<T>): Promise<T> => {
    await before?.(key);
    const result = await write();
    await after?.(key);
    return result;
  };
  return {
    bucket: {
      head: (key) => target.bucket.head(key),
      get: (key) => target.bucket.get(key),
      put: (key, value, options) => hooked(key, () => target.bucket.put(key, value, options)),
      list: (options) => target.bucket.list(options),
      delete: (keys) => hooked([keys].flat().join(" "), () => target.bucket.delete(keys)),
    },
    namespace: {
      get: async (key) => (await target.namespace.get?.(key)) ?? null,
      put: (key, value) => hooked(`kv:${key}`, () => target.namespace.put(key, value)),
    },
  };
}
