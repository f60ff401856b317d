import { beforeEach, describe, expect, it } from "vitest";

import { type CatalogSource, withCorpusVersion } from "../../src/catalog/catalog.ts";
import { changeCatalog, readCatalogSource } from "../../src/catalog/changes.ts";
import { diffCatalogs } from "../../src/catalog/diff.ts";
import { readCatalog, rolledBack } from "../../src/catalog/history.ts";
import { CATALOG_KV_KEY } from "../../src/catalog/reader.ts";
import { corpusManifestKey } from "../../src/store/layout.ts";
import { corpusOf } from "../support/corpus.ts";
import { MemoryBucket, MemoryNamespace } from "../support/memory-bucket.ts";

let target: { bucket: MemoryBucket; namespace: MemoryNamespace };

const manifest = (version: number) => corpusOf([{ id: "a", vector: [1] }], { version }).manifest;

const change = (mutate: (source: CatalogSource) => CatalogSource | undefined) =>
  changeCatalog(target, { by: "ada", change: "a test", now: 0 }, mutate);

const labelled =
  (label: string, version: number) =>
  (source: CatalogSource): CatalogSource => ({
    ...source,
    corpora: { docs: { versions: [1, 2], labels: { stable: 1, [label]: version } } },
  });

/** A catalog whose corpus "docs" has versions 1 (stable) and 2. */
beforeEach(async () => {
  target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
  for (const version of [1, 2]) {
    await target.bucket.put(corpusManifestKey("docs", version), JSON.stringify(manifest(version)));
    await change((source) => withCorpusVersion(source, manifest(version)));
  }
});

const compiled = () => JSON.parse(target.namespace.values.get(CATALOG_KV_KEY) ?? "");

describe("corpora in the catalog", () => {
  it("are compiled with their manifests, the first version as stable", () => {
    expect(compiled().corpora).toEqual({
      docs: { versions: { 1: manifest(1), 2: manifest(2) }, labels: { stable: 1 } },
    });
  });

  it("take a label along with a version", () => {
    const source = withCorpusVersion({ schema: 1, number: 0, models: {} }, manifest(3), "canary");
    expect(source.corpora).toEqual({ docs: { versions: [3], labels: { canary: 3 } } });
  });

  it("can't have a label for a version that is not there", async () => {
    await expect(change(labelled("canary", 3))).rejects.toMatchObject({
      code: "invalid_change",
      field: "corpora.docs.labels.canary",
    });
  });

  it("keep a manifest that the bucket has lost, as long as the edge knows it", async () => {
    await target.bucket.delete(corpusManifestKey("docs", 1));
    await change(labelled("canary", 2));
    expect(compiled().corpora.docs.versions[1]).toEqual(manifest(1));
    target.namespace.values.clear();
    await expect(change(labelled("canary", 1))).rejects.toMatchObject({
      code: "manifest_missing",
      message: expect.stringContaining("corpora/docs/1/manifest.json is missing"),
    });
  });

  it("get their labels back by a rollback, and keep their versions", async () => {
    const { source: before } = await readCatalogSource(target.bucket);
    const { after } = await change(labelled("stable", 2));
    expect(diffCatalogs(before, after)).toEqual([
      { field: "corpora.docs.labels.stable", before: 1, after: 2 },
    ]);
    const { after: back } = await change(rolledBack(await readCatalog(target.bucket, 1)));
    expect(back.corpora).toEqual({ docs: { versions: [1, 2], labels: { stable: 1 } } });
  });

  it("stay when a catalog without corpora comes back", () => {
    const now = withCorpusVersion({ schema: 1, number: 2, models: {} }, manifest(1));
    expect(rolledBack({ schema: 1, number: 1, models: {} })(now)?.corpora).toEqual(now.corpora);
  });
});
