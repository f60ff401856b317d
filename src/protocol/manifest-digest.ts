import { digestOf } from "../billing/receipt.ts";
import type { Manifest } from "../catalog/manifest.ts";

const digests = new WeakMap<Manifest, string>();

/** SHA-256 of `manifest.json` as it was published: computed once for each that the catalog holds. */
export async function manifestDigest(manifest: Manifest): Promise<string> {
  const known = digests.get(manifest);
  if (known !== undefined) return known;
  const digest = await digestOf(JSON.stringify(manifest, undefined, 2));
  digests.set(manifest, digest);
  return digest;
}
