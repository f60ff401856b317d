import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as v from "valibot";

import {
  Catalog,
  CatalogSource,
  compileCatalog,
  EMPTY_CATALOG,
  withVersion,
} from "../../src/catalog/catalog.ts";
import { manifestOf } from "../support/manifests.ts";
import { issuePaths, withField } from "./fields.ts";

const SOURCE: CatalogSource = {
  schema: 1,
  number: 4,
  models: { iris: { versions: [1, 2], labels: { stable: 1, canary: 2 } } },
};

const manifest = (name: string, version: number) => manifestOf({ name, version });

describe("CatalogSource", () => {
  it.each([
    ["an empty catalog", EMPTY_CATALOG],
    ["models with labels", SOURCE],
  ])("takes %s as it is", (_, source) => {
    expect(v.parse(CatalogSource, source)).toEqual(source);
  });

  it.each([
    ["schema", 2],
    ["number", -1],
    ["number", 0.5],
    ["models", null],
    ["models", { "Bad Name": { versions: [], labels: {} } }],
    ["models.iris.versions", [0]],
    ["models.iris.versions", { 1: true }],
    ["models.iris.labels", undefined],
    ["models.iris.labels", { stable: "1" }],
    ["models.iris.labels", { Stable: 1 }],
    ["models.iris.labels", { "1": 1 }],
    ["models.iris.labels", { [`a${"b".repeat(32)}`]: 1 }],
  ])("refuses %s = %j", (field, value) => {
    const result = v.safeParse(CatalogSource, withField(SOURCE, field, value));
    expect(result.success).toBe(false);
    expect(issuePaths(result).join()).toContain(field);
  });
});

describe("Catalog", () => {
  const CATALOG = compileCatalog(SOURCE, manifest);

  it("survives JSON", () => {
    expect(v.parse(Catalog, JSON.parse(JSON.stringify(CATALOG)))).toEqual(CATALOG);
  });

  it.each([
    ["a schema of another number", "schema", 2],
    ["no number", "number", undefined],
    ["a list of versions", "models.iris.versions", [manifest("iris", 1)]],
    ["a version with a leading zero", "models.iris.versions", { "01": manifest("iris", 1) }],
    ["a version that is no number", "models.iris.versions", { latest: manifest("iris", 1) }],
    ["a manifest without a licence", "models.iris.versions.1.licence", undefined],
    ["a label with a space", "models.iris.labels", { "Not a label": 1 }],
  ])("refuses %s", (_, field, value) => {
    expect(v.is(Catalog, withField(CATALOG, field, value))).toBe(false);
  });
});

const ROUTED = {
  ...SOURCE,
  models: { iris: { ...SOURCE.models["iris"], origin: { pool: "gpu" } } },
  pools: {
    gpu: { protocol: "open-inference", endpoints: [{ url: "https://gpu-1.example.com" }] },
  },
};

describe("a route to an origin", () => {
  const parsed = v.parse(CatalogSource, ROUTED);

  it("has the pool's own limits where none are given", () => {
    expect(parsed.models["iris"]?.origin).toEqual({
      pool: "gpu",
      limits: { maxBatch: 1024, maxBodyBytes: 8 * 1024 * 1024 },
    });
  });

  it("is there for the edge, with its pool", () => {
    const compiled = compileCatalog(parsed, manifest);
    expect(compiled.models["iris"]?.origin).toEqual(parsed.models["iris"]?.origin);
    expect(compiled.pools).toEqual(parsed.pools);
    expect(v.parse(Catalog, JSON.parse(JSON.stringify(compiled)))).toEqual(compiled);
  });

  it("stays when a version is added", () => {
    const { models, pools } = withVersion(parsed, manifest("iris", 3));
    expect(models["iris"]?.origin?.pool).toBe("gpu");
    expect(pools).toEqual(parsed.pools);
  });

  it.each([
    ["models.iris.origin", { pool: "Big GPU" }],
    ["models.iris.origin", { pool: "constructor" }],
    ["models.iris.origin", { pool: "gpu", limit: 1 }],
    ["models.iris.origin", { pool: "gpu", limits: { maxBatch: 0 } }],
    ["models.iris.origin", { pool: "gpu", limits: { maxBatch: 65_537 } }],
    ["models.iris.origin", { pool: "gpu", limits: { maxBodyBytes: 64 * 1024 * 1024 + 1 } }],
    ["models.iris.origin", { pool: "gpu", model: "" }],
    ["pools", { "big gpu": ROUTED.pools.gpu }],
    ["pools.gpu.endpoints", []],
  ])("is refused with %s = %j", (field, value) => {
    expect(v.is(CatalogSource, withField(ROUTED, field, value))).toBe(false);
  });
});

describe("compileCatalog", () => {
  it("puts every listed manifest in its place", () => {
    expect(compileCatalog(SOURCE, manifest)).toEqual({
      schema: 1,
      number: 4,
      models: {
        iris: {
          versions: { 1: manifest("iris", 1), 2: manifest("iris", 2) },
          labels: { stable: 1, canary: 2 },
        },
      },
    });
  });

  it("compiles an empty catalog", () => {
    const nobody = () => {
      throw new Error("no manifest is needed");
    };
    expect(compileCatalog(EMPTY_CATALOG, nobody)).toEqual({ schema: 1, number: 0, models: {} });
  });

  it.each([
    [
      "a label of a version that is not published",
      withField(SOURCE, "models.iris.labels.canary", 3),
      manifest,
      'The label "canary" of iris names version 3, which is not published.',
    ],
    [
      "a manifest of another version",
      SOURCE,
      (name: string) => manifest(name, 1),
      "The manifest of iris 2 calls itself iris 1.",
    ],
    [
      "a manifest of another model",
      SOURCE,
      (_: string, version: number) => manifest("vad", version),
      "The manifest of iris 1 calls itself vad 1.",
    ],
  ])("refuses %s", (_, source, manifestOfVersion, message) => {
    expect(() => compileCatalog(v.parse(CatalogSource, source), manifestOfVersion)).toThrow(
      message,
    );
  });

  it("passes on why a manifest can't be had", () => {
    const missing = () => {
      throw new Error("models/iris/1/manifest.json is missing");
    };
    expect(() => compileCatalog(SOURCE, missing)).toThrow("is missing");
  });
});

describe("withVersion", () => {
  it("labels the first version of a model stable", () => {
    expect(withVersion(EMPTY_CATALOG, manifest("iris", 7))).toEqual({
      schema: 1,
      number: 0,
      models: { iris: { versions: [7], labels: { stable: 7 } } },
    });
  });

  it("leaves the labels where they are when a later version comes", () => {
    const { models } = withVersion(SOURCE, manifest("iris", 3));
    expect(models).toEqual({
      iris: { versions: [1, 2, 3], labels: { stable: 1, canary: 2 } },
    });
  });

  it.each([
    ["stable", { stable: 3, canary: 2 }],
    ["canary", { stable: 1, canary: 3 }],
    ["blue", { stable: 1, canary: 2, blue: 3 }],
  ])("moves %s when it is told to", (label, labels) => {
    expect(withVersion(SOURCE, manifest("iris", 3), label).models["iris"]?.labels).toEqual(labels);
  });

  it("labels only what it is told to when the first version gets another label", () => {
    expect(withVersion(EMPTY_CATALOG, manifest("iris", 1), "canary").models["iris"]).toEqual({
      versions: [1],
      labels: { canary: 1 },
    });
  });

  it("leaves other models and the given catalog alone", () => {
    const before = structuredClone(SOURCE);
    const { models } = withVersion(SOURCE, manifest("vad", 1));
    expect(models["iris"]).toEqual(before.models["iris"]);
    expect(SOURCE).toEqual(before);
  });

  it("keeps versions sorted and single, in whatever order they come", () => {
    const publications = fc.array(
      fc.record({ name: fc.constantFrom("a", "b"), version: fc.integer({ min: 1, max: 12 }) }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(publications, (all) => {
        const catalog = all.reduce(
          (source, { name, version }) => withVersion(source, manifest(name, version)),
          EMPTY_CATALOG,
        );
        for (const [name, { versions, labels }] of Object.entries(catalog.models)) {
          const theirs = all.filter((one) => one.name === name).map(({ version }) => version);
          expect(versions).toEqual([...new Set(theirs)].toSorted((a, b) => a - b));
          expect(labels).toEqual({ stable: theirs[0] });
        }
        expect(Object.keys(compileCatalog(catalog, manifest).models)).toEqual(
          Object.keys(catalog.models),
        );
      }),
    );
  });
});
