import fc from "fast-check";
import * as v from "valibot";
import { describe, expect, it } from "vitest";

import {
  type Price,
  Price as PriceSchema,
  amountOf,
  choosePrice,
  discountOf,
} from "../../src/billing/price.ts";
import { NOON, priceOf } from "./support.ts";

const what = { model: "m", version: 2, placement: "edge", at: NOON } as const;
const from = (time: number) => new Date(time).toISOString();

/** Prices whose tiers go up in units and down in price, as the schema wants them. */
const prices: fc.Arbitrary<Price> = fc
  .record({
    perRequest: fc.nat(1_000_000),
    each: fc.uniqueArray(fc.nat(1_000_000), { minLength: 4, maxLength: 4 }),
    above: fc.uniqueArray(fc.nat(500), { maxLength: 3 }),
    free: fc.option(fc.nat(400)),
  })
  .map(({ perRequest, each, above, free }) => {
    const [list = 0, ...lower] = each.toSorted((a, b) => b - a);
    const tiers = above
      .toSorted((a, b) => a - b)
      .map((count, index) => ({ above: count, perUnit: lower[index] ?? 0 }));
    return priceOf({
      perRequest,
      perUnit: { tokens: list },
      ...(free !== null && { free: { tokens: free } }),
      tiers: { tokens: tiers },
    });
  });

/** What `count` units cost one by one. */
function oneByOne({ perUnit, free = {}, tiers = {} }: Price, count: number) {
  const list = perUnit.tokens ?? 0;
  let [allowance, volume] = [0, 0];
  for (let unit = 0; unit < count; unit++) {
    const tier = (tiers.tokens ?? []).findLast(({ above }) => unit >= above);
    if (unit < (free.tokens ?? 0)) allowance += list;
    else if (tier !== undefined) volume += list - tier.perUnit;
  }
  return { allowance, volume };
}

describe("choosePrice", () => {
  it("takes the most specific of those in effect, and of those the latest", () => {
    const all = priceOf({ id: "all" });
    const model = priceOf({ id: "model", model: "m" });
    const version = priceOf({ id: "version", model: "m", version: 2 });
    const edge = priceOf({ id: "edge", model: "m", version: 2, placement: "edge" });
    const later = priceOf({ ...edge, id: "later", from: from(NOON) });
    const tomorrow = priceOf({ ...edge, id: "tomorrow", from: from(NOON + 1) });
    const order = [all, model, version, edge, later];
    for (let count = 1; count <= order.length; count++) {
      const known = [tomorrow, ...order.slice(0, count).toReversed()];
      expect(choosePrice(known, what)?.id).toBe(order[count - 1]?.id);
    }
  });

  it.each([
    [{ model: "other" }],
    [{ version: 1 }],
    [{ placement: "origin" as const }],
    [{ from: from(NOON + 1) }],
  ])("passes over %j", (more) => {
    expect(choosePrice([priceOf(more)], what)).toBeUndefined();
  });

  it("does not depend on the order of the list", () => {
    const list = ["a", "b", "c"].map((id) => priceOf({ id }));
    expect(choosePrice(list, what)).toEqual(choosePrice(list.toReversed(), what));
  });
});

describe("a price", () => {
  it.each([
    ["a float", { perRequest: 0.5 }],
    ["less than nothing", { perRequest: -1 }],
    ["a float for a unit", { perUnit: { tokens: 1.5 } }],
    ["free units without a price", { free: { pixels: 5 } }],
    ["tiers without a price", { tiers: { pixels: [{ above: 1, perUnit: 0 }] } }],
    ["a tier above the list price", { tiers: { tokens: [{ above: 1, perUnit: 4 }] } }],
    [
      "tiers that get dearer",
      {
        tiers: {
          tokens: [
            { above: 1, perUnit: 1 },
            { above: 2, perUnit: 2 },
          ],
        },
      },
    ],
    [
      "tiers out of order",
      {
        tiers: {
          tokens: [
            { above: 2, perUnit: 2 },
            { above: 2, perUnit: 1 },
          ],
        },
      },
    ],
    ["no time", { from: "soon" }],
    ["a stranger's field", { discount: 5 }],
  ])("with %s is none", (_, more) => {
    expect(v.is(PriceSchema, { ...priceOf(), ...more })).toBe(false);
    expect(v.is(PriceSchema, priceOf())).toBe(true);
  });

  it("is per request and unit; units without a price are free", () => {
    expect(amountOf(priceOf(), { tokens: 10, items: 7 })).toBe(130);
    expect(amountOf(priceOf(), {})).toBe(100);
  });

  it.each([
    ["amount_overflow", { tokens: Number.MAX_SAFE_INTEGER }],
    ["invalid_units", { tokens: 0.1 }],
    ["invalid_units", { tokens: -1 }],
    ["invalid_units", { tokens: 2 ** 53 }],
  ])("says %s of %j", (code, units) => {
    expect(() => amountOf(priceOf(), units)).toThrow(expect.objectContaining({ code }));
  });
});

describe("discounts", () => {
  it("are those of the units one by one", () => {
    fc.assert(
      fc.property(prices, fc.nat(600), (price, tokens) => {
        expect(discountOf(price, {}, { tokens })).toEqual(oneByOne(price, tokens));
      }),
    );
  });

  it("come to the same however units are split over requests, never below zero, never a float", () => {
    fc.assert(
      fc.property(prices, fc.array(fc.nat(200), { maxLength: 12 }), (price, split) => {
        expect(v.is(PriceSchema, price)).toBe(true);
        const total = split.reduce((sum, tokens) => sum + tokens, 0);
        let [before, allowance, volume] = [0, 0, 0];
        for (const tokens of split) {
          const discount = discountOf(price, { tokens: before }, { tokens });
          const taken = discount.allowance + discount.volume;
          expect(taken).toBeLessThanOrEqual(amountOf(price, { tokens }) - price.perRequest);
          expect(
            Number.isSafeInteger(taken) && discount.allowance >= 0 && discount.volume >= 0,
          ).toBe(true);
          before += tokens;
          allowance += discount.allowance;
          volume += discount.volume;
        }
        expect(discountOf(price, {}, { tokens: total })).toEqual({ allowance, volume });
      }),
    );
  });

  it("of more units than can be counted are an error with a code", () => {
    const price = priceOf({ free: { tokens: Number.MAX_SAFE_INTEGER } });
    expect(() => discountOf(price, { tokens: Number.MAX_SAFE_INTEGER }, { tokens: 1 })).toThrow(
      expect.objectContaining({ code: "amount_overflow" }),
    );
    expect(() => discountOf(price, {}, { tokens: Number.MAX_SAFE_INTEGER })).toThrow(
      expect.objectContaining({ code: "amount_overflow" }),
    );
  });
});
