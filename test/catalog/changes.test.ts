import * as v from "valibot";
import { beforeEach, describe, expect, it } from "vitest";

import {
  type CatalogSource,
  type Flag,
  EMPTY_CATALOG,
  OriginRoute,
  withVersion,
} from "../../src/catalog/catalog.ts";
import { changeCatalog, planChange, readCatalogSource } from "../../src/catalog/changes.ts";
import { diffCatalogs } from "../../src/catalog/diff.ts";
import { listCatalogs, readCatalog, rolledBack } from "../../src/catalog/history.ts";
import { CATALOG_KV_KEY } from "../../src/catalog/reader.ts";
import { OriginPool } from "../../src/origin/pool.ts";
import { CATALOG_SOURCE_KEY, catalogKey, manifestKey } from "../../src/store/layout.ts";
import { manifestOf } from "../support/manifests.ts";
import { MemoryBucket, MemoryNamespace, withHooks } from "../support/memory-bucket.ts";

const NOW = Date.UTC(2026, 10, 27, 18);

let target: { bucket: MemoryBucket; namespace: MemoryNamespace };

/** A store whose model "m" has versions 1 (stable), 2 and 3. */
beforeEach(async () => {
  target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
  for (const version of [1, 2, 3]) await publish("m", version);
});

async function publish(name: string, version: number): Promise<void> {
  const manifest = manifestOf({ name, version });
  await target.bucket.put(manifestKey(name, version), JSON.stringify(manifest));
  await change(`${name} ${version}`, (source) => withVersion(source, manifest));
}

const change = (
  said: string,
  mutate: (source: CatalogSource) => CatalogSource | undefined,
  store: Parameters<typeof changeCatalog>[0] = target,
) => changeCatalog(store, { by: "ada", change: said, now: NOW }, mutate);

const labelled =
  (label: string, version: number) =>
  (source: CatalogSource): CatalogSource => ({
    ...source,
    models: {
      ...source.models,
      m: { versions: [1, 2, 3], labels: { ...source.models["m"]?.labels, [label]: version } },
    },
  });

const flagged =
  (flag: Flag) =>
  (source: CatalogSource): CatalogSource => ({ ...source, flags: { flags: { m: flag } } });

const split = (share: number): Flag => ({
  state: "ENABLED",
  variants: { current: "stable", next: 2 },
  defaultVariant: "current",
  targeting: {
    fractional: [
      ["current", 100 - share],
      ["next", share],
    ],
  },
});

const seenByEdge = () =>
  JSON.parse(target.namespace.values.get(CATALOG_KV_KEY) ?? "null") as CatalogSource;

describe("changeCatalog", () => {
  it("counts, dates and signs every change, and shows it to the edge", async () => {
    const { before, after } = await change("canary is 2", labelled("canary", 2));
    expect([before.number, after.number]).toEqual([3, 4]);
    expect(after).toMatchObject({
      at: "2026-11-27T18:00:00.000Z",
      by: "ada",
      change: "canary is 2",
    });
    expect(seenByEdge()).toMatchObject({
      number: 4,
      models: { m: { labels: { stable: 1, canary: 2 } } },
    });
  });

  it("writes no catalog where there is nothing to do", async () => {
    const { before, after } = await change("nothing", () => undefined);
    expect(after).toEqual(before);
    expect((await change("the same", labelled("stable", 1))).after.number).toBe(3);
  });

  it.each<[string, (source: CatalogSource) => CatalogSource, string]>([
    ["a label to no version", labelled("canary", 9), "models.m.labels.canary"],
    [
      "a switch for no version",
      (source) => ({
        ...source,
        models: { m: { versions: [1, 2, 3], labels: { stable: 1 }, offVersions: [9] } },
      }),
      "models.m.offVersions[0]",
    ],
    [
      "a switch that leaves nothing stable",
      (source) => ({
        ...source,
        models: { m: { versions: [1, 2, 3], labels: { stable: 1 }, offVersions: [1] } },
      }),
      "models.m.offVersions",
    ],
    [
      "a flag that names no version",
      flagged({ ...split(5), variants: { current: "stable", next: 9 } }),
      "flags.m.variants.next",
    ],
    [
      "a shadow that is no version",
      flagged({
        ...split(5),
        variants: { current: { version: 1, shadow: { version: 9, rate: 1 } }, next: 2 },
      }),
      "flags.m.variants.current",
    ],
    [
      "fractions that don't add up",
      flagged({ ...split(5), targeting: { fractional: [["current", 5]] } }),
      "flags.m.targeting.fractional",
    ],
  ])("refuses %s, by its field, and changes nothing", async (_, mutate, field) => {
    const before = target.bucket.contents();
    await expect(change("wrong", mutate)).rejects.toMatchObject({ code: "invalid_change", field });
    await expect(planChange(target, mutate)).rejects.toMatchObject({ code: "invalid_change" });
    expect(target.bucket.contents()).toEqual(before);
    expect(seenByEdge().number).toBe(3);
  });

  it("names everything that is wrong at once", async () => {
    const mutate = (source: CatalogSource) =>
      flagged({ ...split(5), variants: { current: 8, next: 9 } })(labelled("canary", 7)(source));
    await expect(change("wrong", mutate)).rejects.toMatchObject({
      problems: [
        { field: "models.m.labels.canary" },
        { field: "flags.m.variants.current" },
        { field: "flags.m.variants.next" },
      ],
    });
  });

  it("applies a change to what somebody faster made", async () => {
    let others = 0;
    const raced = withHooks(target, {
      async before(key) {
        if (key === CATALOG_SOURCE_KEY && others++ < 2) {
          await change(`other ${others}`, labelled(`other-${others}`, 3));
        }
      },
    });
    const { after } = await change("canary is 2", labelled("canary", 2), raced);
    expect(after.models["m"]?.labels).toEqual({
      stable: 1,
      canary: 2,
      "other-1": 3,
      "other-2": 3,
    });
    expect(seenByEdge().number).toBe(6);
  });

  it("ends in the same state when it is interrupted before any write and repeated", async () => {
    for (let broken = 0; broken < 4; broken++) {
      target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
      for (const version of [1, 2, 3]) await publish("m", version);
      let writes = 0;
      const interrupted = withHooks(target, {
        before() {
          if (writes++ >= broken) throw new Error("the connection broke off");
        },
      });
      await expect(change("canary is 2", labelled("canary", 2), interrupted)).rejects.toThrow(
        "broke off",
      );
      await change("canary is 2", labelled("canary", 2));
      expect(seenByEdge()).toMatchObject({ number: 4, models: { m: { labels: { canary: 2 } } } });
      const kept = Object.keys(target.bucket.contents()).filter((key) =>
        key.startsWith("catalogs/"),
      );
      expect(kept).toEqual([1, 2, 3, 4].map(catalogKey));
    }
  });

  it("repairs what the edge reads when the namespace was busy for a moment", async () => {
    let writes = 0;
    const busy = withHooks(target, {
      before(key) {
        if (key === `kv:${CATALOG_KV_KEY}` && writes++ === 0) throw new Error("429");
      },
    });
    await change("canary is 2", labelled("canary", 2), busy);
    expect(seenByEdge().number).toBe(4);
  });

  it("lets an operator switch off what is damaged, and what was wrong before", async () => {
    const flags = { flags: { m: { ...split(5), variants: { current: 1, next: 9 } } } };
    const { source, text } = await readCatalogSource(target.bucket);
    expect(text).toBeDefined();
    await target.bucket.put(CATALOG_SOURCE_KEY, JSON.stringify({ ...source, flags }));
    await target.bucket.delete(manifestKey("m", 3));
    const { after } = await change("off", (latest) => ({
      ...latest,
      models: { m: { versions: [1, 2, 3], labels: { stable: 1 }, offVersions: [3] } },
    }));
    expect(after.models["m"]?.offVersions).toEqual([3]);
    expect(seenByEdge().number).toBe(4);
    target.namespace.values.clear();
    await expect(change("on", labelled("canary", 2))).rejects.toMatchObject({
      code: "manifest_missing",
    });
  });

  it("plans without writing", async () => {
    const contents = target.bucket.contents();
    const { before, after } = await planChange(target, labelled("canary", 2));
    expect(diffCatalogs(before, after)).toEqual([{ field: "models.m.labels.canary", after: 2 }]);
    expect(target.bucket.contents()).toEqual(contents);
  });
});

describe("the history of catalogs", () => {
  it("keeps every catalog by its number, newest first", async () => {
    await change("canary is 2", labelled("canary", 2));
    const entries = await listCatalogs(target.bucket, { limit: 3 });
    expect(entries.map(({ number, change: said }) => [number, said])).toEqual([
      [4, "canary is 2"],
      [3, "m 3"],
      [2, "m 2"],
    ]);
    expect(
      (await listCatalogs(target.bucket, { limit: 9, before: 3 })).map(({ number }) => number),
    ).toEqual([2, 1]);
    expect((await readCatalog(target.bucket, 1)).models["m"]?.versions).toEqual([1]);
    await expect(readCatalog(target.bucket, 5)).rejects.toMatchObject({
      code: "catalog_not_found",
      message: "There is no catalog 5; the newest is 4.",
    });
  });

  it("leaves out what was written before catalogs were kept", async () => {
    await target.bucket.delete([catalogKey(1), catalogKey(2)]);
    const entries = await listCatalogs(target.bucket, { limit: 9 });
    expect(entries.map(({ number }) => number)).toEqual([3]);
  });

  it("is empty before anything was published", async () => {
    expect(await listCatalogs(new MemoryBucket(), { limit: 9 })).toEqual([]);
    expect((await readCatalogSource(new MemoryBucket())).source).toEqual(EMPTY_CATALOG);
  });

  it("rolls labels and flags back, and takes no version, switch or newer model away", async () => {
    await change("5 %", flagged(split(5)));
    await change("canary is 2", labelled("canary", 2));
    await change("100 %", flagged(split(100)));
    await publish("other", 1);
    await publish("m", 4);
    const { after } = await change("back to 4", rolledBack(await readCatalog(target.bucket, 4)));
    expect(after).toMatchObject({
      number: 9,
      models: {
        m: { versions: [1, 2, 3, 4], labels: { stable: 1 } },
        other: { versions: [1], labels: { stable: 1 } },
      },
      flags: { flags: { m: split(5) } },
    });
    const rollout = { ...split(25), metadata: { rollout: 2 } };
    const { after: during } = await change("25 %, by a rollout", flagged(rollout));
    await change("off", (source) => {
      const { flags: _, ...rest } = source;
      const { m, ...others } = source.models;
      return {
        ...rest,
        models: { ...others, m: { labels: {}, versions: [], ...m, offVersions: [3] } },
      };
    });
    const { after: later } = await change(
      "back to a rollout",
      rolledBack(await readCatalog(target.bucket, during.number)),
    );
    expect(later.flags).toBeUndefined();
    expect(later.models["m"]?.offVersions).toEqual([3]);
    const { after: first } = await change(
      "back to 1",
      rolledBack(await readCatalog(target.bucket, 1)),
    );
    expect(first.flags).toBeUndefined();
  });
});

describe("diffCatalogs", () => {
  it("names the places that differ, and not number, time or author", async () => {
    const { source: before } = await readCatalogSource(target.bucket);
    const { after } = await change("both", (source) =>
      flagged(split(5))(labelled("stable", 2)(source)),
    );
    expect(diffCatalogs(before, after)).toEqual([
      { field: "models.m.labels.stable", before: 1, after: 2 },
      { field: "flags.m", after: split(5) },
    ]);
    expect(diffCatalogs(after, flagged(split(25))(after))).toEqual([
      { field: "flags.m.targeting.fractional[0][1]", before: 95, after: 75 },
      { field: "flags.m.targeting.fractional[1][1]", before: 5, after: 25 },
    ]);
    expect(diffCatalogs(after, after)).toEqual([]);
  });
});

describe("a route to an origin", () => {
  const pools = {
    gpu: v.parse(OriginPool, {
      protocol: "open-inference",
      endpoints: [{ url: "https://gpu-1.example.com" }],
    }),
  };
  const routed =
    (pool: string) =>
    (source: CatalogSource): CatalogSource => ({
      ...labelled("canary", 2)(source),
      pools,
      models: {
        m: {
          versions: [1, 2, 3],
          labels: { stable: 1 },
          origin: v.parse(OriginRoute, { pool }),
        },
      },
    });

  it("reaches the edge", async () => {
    await change("m goes to gpu", routed("gpu"));
    expect(seenByEdge()).toMatchObject({ pools: { gpu: {} }, models: { m: { origin: {} } } });
  });

  it("to a pool that is not there is refused, by its field", async () => {
    await expect(change("m goes nowhere", routed("tpu"))).rejects.toMatchObject({
      code: "invalid_change",
      field: "models.m.origin.pool",
      message: 'models.m.origin.pool: there is no pool "tpu"; there are gpu.',
    });
  });
});
