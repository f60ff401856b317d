import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";

import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { ANY, CREATE, PRICE } from "../../support/accounts.ts";
import type { AuditRecord } from "../../../src/control/audit.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const told: AuditRecord[] = [];
const { ask, get } = controlOf({
  audit: {
    append: async (record) => void told.push(record),
    list: async () => [],
    catalogsFrom: () => Promise.resolve([]),
  },
});

beforeEach(() => publishModels({ m: [1] }, { prices: [] }));

let ids = 0;
const priceOf = (more: object = {}) => ({ ...PRICE, id: `price-${ids++}`, ...more });
const add = (body: object, query = "") =>
  ask("POST", `/v1/prices${query}`, { body, headers: CREATE });

describe("prices", () => {
  it("are added, listed, and shown to the edge and the audit log", async () => {
    const price = priceOf({ model: "m", free: { tokens: 10 } });
    const added = await add(price);
    expect(added).toMatchObject({
      status: 200,
      json: { changes: [{ field: `prices.${price.id}`, after: price }] },
    });
    expect((await get("/v1/prices")).json).toContainEqual(price);
    expect(await env.CATALOG.get(CATALOG_KV_KEY, "json")).toMatchObject({
      prices: expect.arrayContaining([price]),
    });
    expect(told.at(-1)).toMatchObject({
      action: "price.add",
      target: `prices/${price.id}`,
      before: null,
      after: price,
    });
  });

  it("never change", async () => {
    const price = priceOf();
    await add(price);
    expect((await add({ ...price, perRequest: 1 })).status).toBe(412);
    const changed = await ask("POST", "/v1/prices", { body: price, headers: ANY });
    expect(changed).toMatchObject({ status: 412, json: { code: "precondition_failed" } });
    expect((await get("/v1/prices")).json).toContainEqual(price);
  });

  it("above $10,000 for one are a slip, unless they are forced", async () => {
    const each = 10_000_000_000_000;
    expect((await add(priceOf({ perRequest: each, perUnit: { tokens: each } }))).status).toBe(200);
    for (const [field, more] of [
      ["perRequest", { perRequest: each + 1 }],
      ["perUnit.tokens", { perUnit: { tokens: each + 1 } }],
    ] as const) {
      const price = priceOf(more);
      expect(await add(price)).toMatchObject({
        status: 422,
        json: { code: "invalid_change", field },
      });
      expect((await add(price, "?force=true")).status).toBe(200);
    }
  });

  it("added by two operators at once are both there", async () => {
    const [a, b] = [priceOf(), priceOf()];
    const both = await Promise.all([add(a), add(b)]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    expect((await get("/v1/prices")).json).toEqual(expect.arrayContaining([a, b]));
  });

  it("can be tried without being added", async () => {
    const price = priceOf();
    expect((await add(price, "?dry-run=true")).json).toMatchObject({
      dryRun: true,
      changes: [{ field: `prices.${price.id}` }],
    });
    expect((await get("/v1/prices")).json).not.toContainEqual(price);
  });

  it.each<[string, object]>([
    ["a fraction of a nano-dollar", { perRequest: 0.5 }],
    ["less than nothing", { perRequest: -1 }],
    ["a free unit without a price", { free: { pixels: 1 } }],
    ["tiers that go up in price", { tiers: { tokens: [{ above: 1, perUnit: 9 }] } }],
    ["no time", { from: "soon" }],
    ["an unknown field", { currency: "EUR" }],
  ])("refuse %s", async (_, more) => {
    expect(await add(priceOf(more))).toMatchObject({
      status: 400,
      json: { code: "invalid_request" },
    });
  });
});
