/** What publication needs of a bucket: R2's own verbs, so that Miniflare's binding is one. */
export interface PublishBucket {
  head(key: string): Promise<{ readonly size: number } | null>;
  get(key: string): Promise<{
    readonly etag: string;
    text(): Promise<string>;
    arrayBuffer(): Promise<ArrayBuffer>;
  } | null>;
  /** @returns null when the condition does not hold */
  put(
    key: string,
    value: Uint8Array | string,
    options?: { onlyIf?: PutConditions },
  ): Promise<unknown>;
  /** One page of objects in the order of their keys. */
  list(options?: ListOptions): Promise<BucketPage>;
  /** At most 1000 keys; what is not there counts as deleted. */
  delete(keys: string | string[]): Promise<void>;
}

export interface PutConditions {
  etagMatches?: string;
  etagDoesNotMatch?: string;
}

export interface ListOptions {
  prefix?: string;
  /** Objects per page: 1000 when absent, and at most. */
  limit?: number;
  /** Of the page before. */
  cursor?: string;
}

export interface BucketObject {
  readonly key: string;
  readonly size: number;
  readonly uploaded: Date;
}

export type BucketPage = { readonly objects: readonly BucketObject[] } & (
  | { readonly truncated: true; readonly cursor: string }
  | { readonly truncated: false }
);

/** What publication needs of the namespace that the edge reads. */
export interface PublishNamespace {
  get?(key: string): Promise<string | null>;
  put(key: string, value: string): Promise<void>;
}

/** Where models are published. */
export interface PublishTarget {
  readonly bucket: PublishBucket;
  readonly namespace: PublishNamespace;
}
