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
    options?: { onlyIf?: { etagMatches?: string; etagDoesNotMatch?: string } },
  ): Promise<unknown>;
}

/** What publication needs of the namespace that the edge reads. */
export interface PublishNamespace {
  put(key: string, value: string): Promise<void>;
}

/** Where models are published. */
export interface PublishTarget {
  readonly bucket: PublishBucket;
  readonly namespace: PublishNamespace;
}
