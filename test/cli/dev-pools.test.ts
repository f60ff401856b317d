import { describe, expect, it } from "vitest";

import type { CatalogSource } from "../../src/catalog/catalog.ts";
import { publishDevPools, withDevPools } from "../../src/cli/dev-pools.ts";
import { putCatalog, putManifest } from "./support.ts";
import { MemoryBucket, MemoryNamespace } from "../support/memory-bucket.ts";

const model = { versions: [1], labels: { stable: 1 } };
const EMPTY: CatalogSource = { schema: 1, number: 7, models: {} };
const HERE = "http://127.0.0.1:8789";
const ELSEWHERE = "http://127.0.0.1:9000";

describe("the development pools", () => {
  it("are where the development origin is, and the models that ship go there", () => {
    const { pools, models } = withDevPools(
      { ...EMPTY, models: { minilm: model, scribe: model, iris: model } },
      HERE,
    );
    const place = { endpoints: [{ url: HERE }], allowPrivate: true, sign: true };
    expect(pools).toMatchObject({
      dev: { protocol: "open-inference", ...place },
      "dev-openai": { protocol: "openai", ...place },
    });
    expect(models).toMatchObject({
      minilm: { origin: { pool: "dev", versioned: true } },
      scribe: { origin: { pool: "dev-openai" } },
    });
    expect(models["iris"]).toEqual(model);
  });

  it("move with it, and keep everything else that an operator set", () => {
    const before = withDevPools({ ...EMPTY, models: { minilm: model } }, ELSEWHERE);
    const gpu = { ...before.pools!["dev"]!, timeoutMs: 9_000 };
    const edited: CatalogSource = {
      ...before,
      pools: { ...before.pools, dev: { ...gpu }, gpu },
      models: {
        minilm: { ...model, origin: { pool: "gpu", limits: { maxBatch: 4, maxBodyBytes: 9 } } },
      },
    };
    const after = withDevPools(edited, HERE);
    expect(after.pools).toMatchObject({
      dev: { endpoints: [{ url: HERE }], timeoutMs: 9_000 },
      gpu: { endpoints: [{ url: ELSEWHERE }] },
    });
    expect(after.models).toEqual(edited.models);
  });

  it("change nothing when everything is so already", async () => {
    const target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
    await putCatalog(target.bucket, [await putManifest(target.bucket, { name: "minilm" })]);
    await publishDevPools(target, HERE);
    const written = target.bucket.contents();
    await publishDevPools(target, HERE);
    expect(target.bucket.contents()).toEqual(written);
  });
});
