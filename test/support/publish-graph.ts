import { digestOf } from "../../src/billing/receipt.ts";
import type { Catalog } from "../../src/catalog/catalog.ts";
import type { BlobRef, Manifest } from "../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../src/catalog/reader.ts";
import { signature } from "../../src/publish/onnx/signature.ts";
import { blobKey } from "../../src/store/layout.ts";
import { manifestOf } from "./manifests.ts";

/** Puts bytes into the bucket under their digest. */
export async function putBlob(bucket: R2Bucket, bytes: Uint8Array<ArrayBuffer>): Promise<BlobRef> {
  const digest = await digestOf(bytes);
  await bucket.put(blobKey(digest), bytes);
  return { digest, bytes: bytes.length };
}

/** Publishes a graph as a model that takes tensors. */
export async function publishGraph(
  bucket: R2Bucket,
  name: string,
  graph: Uint8Array<ArrayBuffer>,
  overrides: Partial<Manifest> = {},
): Promise<Manifest> {
  return manifestOf({
    name,
    graph: await putBlob(bucket, graph),
    ...signature(graph),
    ...overrides,
  });
}

/** Writes the catalog that the edge reads: every manifest's version is `stable`. */
export async function putCatalog(
  namespace: KVNamespace,
  manifests: readonly Manifest[],
): Promise<void> {
  const catalog: Catalog = {
    schema: 1,
    number: 1,
    models: Object.fromEntries(
      manifests.map((manifest) => [
        manifest.name,
        { versions: { [manifest.version]: manifest }, labels: { stable: manifest.version } },
      ]),
    ),
  };
  await namespace.put(CATALOG_KV_KEY, JSON.stringify(catalog));
}
