/** Keys of the bucket; `README.md` beside this file says what each holds. */
export const CATALOG_SOURCE_KEY = "catalog.json";
export const CATALOGS_PREFIX = "catalogs/";

/** Digits of a catalog's number in its key: keys list in the order of numbers. */
const CATALOG_DIGITS = 10;

export function catalogKey(number: number): string {
  return `${CATALOGS_PREFIX}${String(number).padStart(CATALOG_DIGITS, "0")}.json`;
}

export function blobKey(digest: string): string {
  return `blobs/${digest}`;
}

export function manifestKey(model: string, version: number): string {
  return `models/${model}/${version}/manifest.json`;
}

export function corpusManifestKey(corpus: string, version: number): string {
  return `corpora/${corpus}/${version}/manifest.json`;
}

/** Name of a blob in the data centre's cache. The host is never resolved. */
export function blobCacheUrl(digest: string): string {
  return `https://blobs.nearside.invalid/${digest}`;
}
