import * as v from "valibot";

import { ModelName, ModelVersion } from "../catalog/manifest.ts";
import { type Nano, NanoAmount, add, times } from "./money.ts";

/**
 * What is billed:
 *
 * | a request that                              | costs                              |
 * |---------------------------------------------|------------------------------------|
 * | was answered                                | its price                          |
 * | failed or was refused                       | nothing                            |
 * | streamed texts and did not come to its end  | its price, for what was delivered  |
 * | was answered before, by its Idempotency-Key | nothing more                       |
 * | is a shadow                                 | nothing, ever                      |
 * | came without a key, where that is allowed   | nothing                            |
 * | came with a key for tests                   | nothing                            |
 *
 * The amount is the list price, fixed when the request is answered, and what its receipt says. Allowances and
 * tiers are discounts that the ledger computes from the units of the month so far, and enters beside it.
 */
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const UnitName = v.pipe(v.string(), v.regex(/^[a-z][a-z_]{0,31}$/, "must be a unit's name"));

const Tier = v.strictObject({ above: Count, perUnit: NanoAmount });

/** One price, which never changes: another one takes its place from some time on. */
export const Price = v.pipe(
  v.strictObject({
    id: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, "must be a price's id")),
    /** `*` is every model. */
    model: v.union([v.literal("*"), ModelName]),
    version: v.optional(ModelVersion),
    placement: v.optional(v.picklist(["edge", "origin"])),
    perRequest: NanoAmount,
    perUnit: v.record(UnitName, NanoAmount),
    /** Units of each month that cost nothing. */
    free: v.optional(v.record(UnitName, Count)),
    /** What units cost above a number of units in the month; the free ones count. */
    tiers: v.optional(v.record(UnitName, v.array(Tier))),
    from: v.pipe(v.string(), v.isoTimestamp()),
  }),
  v.check(
    ({ perUnit, free = {}, tiers = {} }) =>
      [...Object.keys(free), ...Object.keys(tiers)].every((unit) => Object.hasOwn(perUnit, unit)),
    "units that are free or in tiers must have a price",
  ),
  v.check(
    ({ perUnit, tiers = {} }) =>
      Object.entries(tiers).every(([unit, steps]) =>
        steps.every(
          ({ above, perUnit: each }, index) =>
            above > (steps[index - 1]?.above ?? -1) &&
            each <= (steps[index - 1]?.perUnit ?? perUnit[unit] ?? 0),
        ),
      ),
    "tiers must go up in units and down in price",
  ),
);
export type Price = v.InferOutput<typeof Price>;

export type Units = Readonly<Record<string, number>>;

/** What a price is looked up for. */
export interface Priced {
  readonly model: string;
  readonly version: number;
  readonly placement: "edge" | "origin";
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What the ledger takes off the list price. */
export interface Discount {
  readonly allowance: Nano;
  readonly volume: Nano;
}

/** The most specific price that is in effect, and of those the latest; undefined: it has none. */
export function choosePrice(prices: readonly Price[], what: Priced): Price | undefined {
  let best: Price | undefined;
  for (const price of prices) {
    if (!fits(price, what)) continue;
    if (best === undefined || outranks(price, best)) best = price;
  }
  return best;
}

function fits({ model, version, placement, from }: Price, what: Priced): boolean {
  return (
    (model === "*" || model === what.model) &&
    (version === undefined || version === what.version) &&
    (placement === undefined || placement === what.placement) &&
    Date.parse(from) <= what.at
  );
}

function outranks(a: Price, b: Price): boolean {
  const difference = rank(a) - rank(b);
  if (difference !== 0) return difference > 0;
  const later = Date.parse(a.from) - Date.parse(b.from);
  return later === 0 ? a.id > b.id : later > 0;
}

/** A model is more specific than a version of any model, and that is more than a placement. */
function rank({ model, version, placement }: Price): number {
  return (
    (model === "*" ? 0 : 4) + (version === undefined ? 0 : 2) + (placement === undefined ? 0 : 1)
  );
}

/** Prices of the same scope follow each other, and count a month's units together. */
export function scopeOf({ model, version, placement }: Price): string {
  return `${model}/${version ?? "*"}/${placement ?? "*"}`;
}

/** The list price of one request. @throws MoneyError `amount_overflow`, `invalid_units` */
export function amountOf(price: Price, units: Units): Nano {
  const amounts = Object.entries(units).map(([unit, count]) =>
    times(count, price.perUnit[unit] ?? 0),
  );
  return add(price.perRequest, ...amounts);
}

/**
 * What is taken off the list price of these units, which come after others of the same month. Each unit's
 * discount depends on its place in the month alone, so it does not matter how units are split over requests.
 *
 * @throws MoneyError `amount_overflow`, `invalid_units`
 */
export function discountOf(price: Price, monthUnitsBefore: Units, units: Units): Discount {
  let allowance = 0;
  let volume = 0;
  for (const [unit, count] of Object.entries(units)) {
    const list = price.perUnit[unit] ?? 0;
    const before = monthUnitsBefore[unit] ?? 0;
    const after = add(before, count);
    const free = price.free?.[unit] ?? 0;
    allowance = add(allowance, times(overlap(before, after, 0, free), list));
    const steps = price.tiers?.[unit] ?? [];
    for (const [index, { above, perUnit }] of steps.entries()) {
      const upTo = steps[index + 1]?.above ?? Number.MAX_SAFE_INTEGER;
      const inTier = overlap(before, after, Math.max(above, free), upTo);
      volume = add(volume, times(inTier, list - perUnit));
    }
  }
  return { allowance, volume };
}

/** How much of [from, to) lies in [low, high). */
function overlap(from: number, to: number, low: number, high: number): number {
  return Math.max(0, Math.min(to, high) - Math.max(from, low));
}
