import * as v from "valibot";

import type { Statement } from "../../../billing/statement.ts";
import type { ControlClient } from "../../nearside/control-client.ts";

export const MODEL = "iris";
/** Nano-dollars. */
export const PER_REQUEST = 2_000;
export const PER_ITEM = 500;

const Anything = v.looseObject({});

/** An account with a key, as its owner and the operator see it. */
export interface Customer {
  readonly account: string;
  readonly key: string;
  readonly keyId: string;
}

/** Sets the price of iris once; a price never changes. */
export async function setPrice(control: ControlClient): Promise<void> {
  await control.change("/v1/prices", Anything, {
    method: "POST",
    body: {
      id: "proof",
      model: MODEL,
      perRequest: PER_REQUEST,
      perUnit: { items: PER_ITEM },
      from: "2026-01-01T00:00:00Z",
    },
  });
}

export async function openAccount(
  control: ControlClient,
  settings: object,
  creditNano: number,
): Promise<Customer> {
  const made = await control.change("/v1/accounts", Anything, {
    method: "POST",
    body: { name: "Proof", plan: "pay", billing: "prepaid", ...settings },
  });
  const account = String(made["id"]);
  if (creditNano > 0) await addCredit(control, account, creditNano);
  const key = await control.change(`/v1/accounts/${account}/keys`, Anything, {
    method: "POST",
    body: { name: "proof", kind: "live", scopes: ["predict", "usage"] },
  });
  return { account, key: String(key["key"]), keyId: String(key["id"]) };
}

export async function addCredit(
  control: ControlClient,
  account: string,
  amountNano: number,
): Promise<void> {
  await control.change(`/v1/accounts/${account}/credits`, Anything, {
    method: "POST",
    body: { amountNano, kind: "credit", note: "proof", id: `credit-${crypto.randomUUID()}` },
  });
}

export async function statementOf(control: ControlClient, account: string): Promise<Statement> {
  const hour = 3_600_000;
  const now = Math.floor(Date.now() / hour) * hour;
  const { value } = await control.get(`/v1/accounts/${account}/statement`, Anything, {
    query: {
      from: new Date(now - 24 * hour).toISOString(),
      to: new Date(now + hour).toISOString(),
    },
  });
  return value as unknown as Statement;
}

export async function balances(control: ControlClient, account: string): Promise<boolean> {
  const verified = await control.ask(`/v1/accounts/${account}/verify`, Anything, {
    method: "POST",
  });
  return verified["ok"] === true;
}
