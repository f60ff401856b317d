import { describe, expect, it } from "vitest";

import type { CatalogSource } from "../../src/catalog/catalog.ts";
import { EMPTY_CATALOG, compileCatalog } from "../../src/catalog/catalog.ts";
import { changeCatalog, checkSource, planChange } from "../../src/catalog/changes.ts";
import { priceOf } from "../billing/support.ts";
import { MemoryBucket } from "../support/memory-bucket.ts";

const [one, two] = [priceOf({ id: "one" }), priceOf({ id: "two" })];

async function storeWith(prices: CatalogSource["prices"]) {
  const store = { bucket: new MemoryBucket(), namespace: { put: async () => {} } };
  const write = (next: CatalogSource["prices"]) =>
    changeCatalog(store, { by: "test", change: "prices", now: 0 }, (source) => ({
      ...source,
      prices: next,
    }));
  await write(prices);
  return { store, write };
}

describe("prices of a catalog", () => {
  it("reach what the edge reads", () => {
    const source = { ...EMPTY_CATALOG, prices: [one] };
    const compiled = compileCatalog(source, () => {
      throw new Error("There are no models.");
    });
    expect(compiled.prices).toEqual([one]);
  });

  it("are added", async () => {
    const { write } = await storeWith([one]);
    expect((await write([one, two])).after.prices).toEqual([one, two]);
  });

  it("never change, whatever the order of their fields", async () => {
    const { write, store } = await storeWith([one]);
    const same = Object.fromEntries(Object.entries(one).toReversed()) as typeof one;
    await planChange(store, (source) => ({ ...source, prices: [same, two] }));
    await expect(write([{ ...one, perRequest: 1 }])).rejects.toMatchObject({
      code: "invalid_change",
      field: "prices[0]",
    });
  });

  it("are not lost when an earlier catalog comes back", async () => {
    const { write } = await storeWith([one]);
    await write([one, two]);
    expect((await write([one])).after.prices).toEqual([one, two]);
    expect((await write(undefined)).after.prices).toEqual([one, two]);
  });

  it("have ids of their own", () => {
    expect(checkSource({ ...EMPTY_CATALOG, prices: [one, two, one] })).toEqual([
      { field: "prices[2].id", problem: 'there is a price "one" already' },
    ]);
  });
});
