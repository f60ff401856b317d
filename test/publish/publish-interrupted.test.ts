import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as v from "valibot";

import { graphOf } from "../../src/catalog/members.ts";
import { CatalogSource, EMPTY_CATALOG, withVersion } from "../../src/catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../src/catalog/reader.ts";
import { blobKey, CATALOG_SOURCE_KEY, manifestKey } from "../../src/store/layout.ts";
import { manifestOf } from "../support/manifests.ts";
import { withHooks } from "../support/memory-bucket.ts";
import { useModelFolders } from "./support.ts";
import { CATALOG_WRITE, openTarget } from "./target.ts";

const modelFolder = useModelFolders(`
  const words = new TextEncoder().encode("some words");
  return { onnx: graphs.linearGraph(64, 8), assets: { words, labels: Uint8Array.of(1, 2, 3) } };
`);

// The catalog's history tells when; two runs that are compared must agree on that.
// And a namespace that is away is tried again after a second.
beforeEach(() => {
  const timers = vi.useFakeTimers({ toFake: ["Date", "setTimeout"], now: Date.UTC(2026, 10, 24) });
  timers.setTimerTickMode("nextTimerAsync");
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a publication that is interrupted", () => {
  const moments = ["before", "after"] as const;

  it.each(moments)("%s any write ends in the same state when it is repeated", async (moment) => {
    const model = await modelFolder();
    const whole = openTarget();
    await whole.publish(model);
    const expected = whole.state();
    expect(whole.writes.length).toBeGreaterThan(5);
    for (let broken = 0; broken < whole.writes.length; broken++) {
      const { target, publish, state } = openTarget();
      let count = 0;
      const interrupted = withHooks(target, {
        [moment]: () => {
          if (count++ >= broken) throw new Error("the connection broke off");
        },
      });
      await expect(publish(model, interrupted)).rejects.toThrow("the connection broke off");
      await publish(model);
      expect(state()).toEqual(expected);
    }
  });

  it("never shows the edge a version whose blobs aren't all there", async () => {
    const model = await modelFolder();
    const { target, publish } = openTarget();
    const seen: string[][] = [];
    const watched = withHooks(target, {
      after: (key) => {
        if (key === manifestKey(model.name, 1)) seen.push(Object.keys(target.bucket.contents()));
        expect(target.namespace.values.has(CATALOG_KV_KEY)).toBe(key === CATALOG_WRITE);
      },
    });
    const published = await publish(model, watched);
    const { weights, assets } = published;
    for (const ref of [
      graphOf(published),
      ...(weights ? [weights] : []),
      ...Object.values(assets),
    ]) {
      expect(seen[0]).toContain(blobKey(ref.digest));
    }
  });
});

describe("publications at the same time", () => {
  it("of the same content all succeed, in the state of one", async () => {
    const model = await modelFolder();
    const alone = openTarget();
    await alone.publish(model);
    const { publish, state } = openTarget();
    await Promise.all([publish(model), publish(model), publish(model)]);
    expect(state()).toEqual(alone.state());
  });

  it("of several models lose none", async () => {
    const models = await Promise.all([modelFolder(), modelFolder(), modelFolder()]);
    const { publish, source, catalog } = openTarget();
    await Promise.all(models.map((model) => publish(model)));
    const names = models.map(({ name }) => name).toSorted();
    expect(Object.keys((await source()).models).toSorted()).toEqual(names);
    expect((await source()).number).toBe(3);
    expect(Object.keys(catalog().models).toSorted()).toEqual(names);
    expect(catalog().number).toBe(3);
  });

  /** Somebody else's version, with its manifest, between our reading of the catalog and our writing. */
  async function publishOther(target: ReturnType<typeof openTarget>["target"], version: number) {
    const manifest = manifestOf({ name: "other", version });
    await target.bucket.put(manifestKey("other", version), JSON.stringify(manifest));
    const text = await (await target.bucket.get(CATALOG_SOURCE_KEY))?.text();
    const source = text === undefined ? EMPTY_CATALOG : v.parse(CatalogSource, JSON.parse(text));
    const next = { ...withVersion(source, manifest), number: source.number + 1 };
    await target.bucket.put(CATALOG_SOURCE_KEY, JSON.stringify(next));
  }

  it.each([1, 9])("try again when the catalog changes %i times under them", async (times) => {
    const model = await modelFolder();
    const { target, publish, source, catalog } = openTarget();
    let version = 0;
    const raced = withHooks(target, {
      async before(key) {
        if (key === CATALOG_SOURCE_KEY && version < times) await publishOther(target, ++version);
      },
    });
    await publish(model, raced);
    const { models, number } = await source();
    expect(number).toBe(times + 1);
    expect(models["other"]?.versions).toHaveLength(times);
    expect(models[model.name]).toEqual({ versions: [1], labels: { stable: 1 } });
    expect(Object.keys(catalog().models).toSorted()).toEqual(["other", model.name].toSorted());
  });

  it("give up when the catalog never stands still, and can be repeated", async () => {
    const model = await modelFolder();
    const { target, publish, catalog } = openTarget();
    let version = 0;
    const raced = withHooks(target, {
      async before(key) {
        if (key === CATALOG_SOURCE_KEY) await publishOther(target, ++version);
      },
    });
    await expect(publish(model, raced)).rejects.toThrow(
      "The catalog kept changing meanwhile; do this again.",
    );
    expect(target.namespace.values.size).toBe(0);
    await publish(model);
    expect(catalog().number).toBe(version + 1);
  });

  it("leave the edge the newest catalog, whoever writes it last", async () => {
    const model = await modelFolder();
    const { target, publish, source, catalog } = openTarget();
    const raced = withHooks(target, {
      async before(key) {
        // Their catalog, and what they show the edge of it, come between our two writes.
        if (key !== CATALOG_WRITE || target.namespace.values.size > 0) return;
        await publishOther(target, 1);
        await target.namespace.put(CATALOG_KV_KEY, "theirs");
      },
    });
    await publish(model, raced);
    expect(catalog().number).toBe((await source()).number);
    expect(Object.keys(catalog().models).toSorted()).toEqual(["other", model.name].toSorted());
  });

  it("fail when the catalog lists what has no manifest", async () => {
    const { target, publish } = openTarget();
    const source = withVersion(EMPTY_CATALOG, manifestOf({ name: "gone" }));
    await target.bucket.put(CATALOG_SOURCE_KEY, JSON.stringify(source));
    await expect(publish(await modelFolder())).rejects.toThrow(
      "models/gone/1/manifest.json is missing from the bucket",
    );
    expect(target.namespace.values.size).toBe(0);
  });
});
