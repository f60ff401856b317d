import type { ExportedEvent, LedgerEvent } from "../../src/billing/ledger/event.ts";
import type { Terms } from "../../src/billing/ledger/terms.ts";
import { type Price, amountOf } from "../../src/billing/price.ts";

export const NOON = Date.UTC(2026, 10, 24, 12);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

export const priceOf = (more: Partial<Price> = {}): Price => ({
  id: "plain",
  model: "*",
  perRequest: 100,
  perUnit: { tokens: 3 },
  from: "2026-01-01T00:00:00.000Z",
  ...more,
});

export const termsOf = (more: Partial<Terms> = {}): Terms => ({
  account: "acc_a",
  funding: "prepaid",
  limits: {},
  suspended: false,
  exports: [],
  ...more,
});

let ids = 0;

/** An answered request of 10 tokens at noon, at the price of `price`. */
export function ledgerEvent({
  price = priceOf(),
  billing = {},
  ...more
}: Partial<Omit<LedgerEvent, "billing">> & {
  price?: Price;
  billing?: Partial<LedgerEvent["billing"]>;
} = {}): LedgerEvent {
  const id = more.id ?? `event-${ids++}`;
  const units = more.units ?? { tokens: 10 };
  return {
    at: NOON,
    requestId: `of-${id}`,
    model: "m",
    version: 1,
    placement: "edge",
    ...more,
    id,
    units,
    billing: {
      account: "acc_a",
      key: "key_1",
      price: price.id,
      amount: amountOf(price, units),
      lease: "lease-0",
      ...billing,
    },
  };
}

/** The same as others are told of it: nothing is taken off. */
export const exportedEvent = (parts: Parameters<typeof ledgerEvent>[0] = {}): ExportedEvent => {
  const event = ledgerEvent(parts);
  return { ...event, net: event.billing.amount };
};

/** Looks prices up among these. */
export const book = (...prices: readonly Price[]) => {
  const byId = new Map(prices.map((price) => [price.id, price]));
  return (id: string) => byId.get(id);
};
