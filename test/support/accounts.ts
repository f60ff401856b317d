import { env } from "cloudflare:workers";

import { newId } from "../../src/accounts/account.ts";
import type { Price } from "../../src/billing/price.ts";
import type { Billing } from "../../src/billing/ledger/event.ts";
import type { RequestEvent } from "../../src/billing/usage-event.ts";
import { amountOf } from "../../src/billing/price.ts";
import { contextOf } from "../../workers/control/index.ts";
import type { controlOf } from "./control.ts";

export const CREATE = { "if-none-match": "*" };
export const ANY = { "if-match": "*" };

export const ADA = { name: "Ada Ltd", plan: "pay", billing: "prepaid" } as const;

export const PRICE: Price = {
  id: "plain",
  model: "*",
  perRequest: 100,
  perUnit: { tokens: 3 },
  from: "2026-01-01T00:00:00.000Z",
};

/** As the control plane sees it, and as the tests of what is inside do. */
export const booksOf = (account: string) => contextOf(env, "test").booksOf(account);
export const ledgerOf = (account: string) => env.ACCOUNT_LEDGERS.getByName(account);

/** Makes an account of its own for a test. */
export async function newAccount(
  { ask }: Pick<ReturnType<typeof controlOf>, "ask">,
  more: object = {},
): Promise<string> {
  const body = { ...ADA, ...more, id: newId("acc_") };
  const { status, json } = await ask("POST", "/v1/accounts", { body, headers: CREATE });
  if (status !== 201) throw new Error(JSON.stringify(json));
  return body.id;
}

export interface EventParts extends Partial<Omit<RequestEvent, "billing">> {
  readonly price?: Price;
  readonly billing?: Partial<Billing>;
}

/** An answered request of ten tokens that the account pays for. */
export function billedEvent(
  account: string,
  { price = PRICE, billing = {}, ...more }: EventParts = {},
): RequestEvent & { billing: Billing } {
  const units = more.units ?? { tokens: 10 };
  return {
    schema: 1,
    kind: "request",
    id: crypto.randomUUID(),
    at: Date.now(),
    requestId: "r",
    model: "m",
    version: 1,
    catalog: 1,
    placement: "edge",
    start: "warm",
    milliseconds: 1,
    reason: "STATIC",
    outcome: "ok",
    status: 200,
    billed: true,
    ...more,
    units,
    billing: {
      account,
      key: "key_1",
      price: price.id,
      amount: amountOf(price, units),
      lease: "lease-0",
      ...billing,
    },
  };
}
