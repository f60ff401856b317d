import * as v from "valibot";

import { Catalog, CatalogSource } from "../../src/catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../src/catalog/reader.ts";
import { publishFolder } from "../../src/publish/publish.ts";
import { CATALOG_SOURCE_KEY } from "../../src/store/layout.ts";
import { MemoryBucket, MemoryNamespace, withHooks } from "../support/memory-bucket.ts";
import type { ModelFolder } from "./support.ts";

/** How `withHooks` calls the write of what the edge reads. */
export const CATALOG_WRITE = `kv:${CATALOG_KV_KEY}`;

/** Where tests publish, and everything that was written there, in order. */
export function openTarget() {
  const target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
  const writes: string[] = [];
  const lines: string[] = [];
  const noted = withHooks(target, { before: (key) => void writes.push(key) });
  return {
    target,
    writes,
    lines,
    publish: ({ folder }: ModelFolder, to = noted) =>
      publishFolder(folder, to, (line) => lines.push(line)),
    readText: async (key: string) => (await target.bucket.get(key))?.text(),
    async source(): Promise<CatalogSource> {
      const text = await (await target.bucket.get(CATALOG_SOURCE_KEY))?.text();
      return v.parse(CatalogSource, JSON.parse(text ?? "null"));
    },
    catalog: (): Catalog =>
      v.parse(Catalog, JSON.parse(target.namespace.values.get(CATALOG_KV_KEY) ?? "null")),
    state: () => ({
      objects: target.bucket.contents(),
      values: Object.fromEntries(target.namespace.values),
    }),
  };
}
