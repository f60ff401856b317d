import * as v from "valibot";

import { type Nano, NanoAmount } from "../money.ts";
import type { RequestEvent } from "../usage-event.ts";

/** What a request names that was admitted without a lease: its ledger could not be reached. */
export const GRACE_LEASE = "grace";

/** What an answered request cost, and whom: a part of its event. */
export const Billing = v.object({
  account: v.string(),
  /** The key's id, never the key. */
  key: v.string(),
  /** The price's id. */
  price: v.string(),
  /** The list price of the request, as its receipt says. */
  amount: NanoAmount,
  /** What it was admitted against; `grace` while the ledger could not be reached. */
  lease: v.string(),
  /** The id of the client token that was shown, if one was. */
  token: v.optional(v.string()),
  /** Over whatever makes two requests the same one: the ledger compares it, and knows no more of it. */
  idempotencyKey: v.optional(v.string()),
  /** `begunAt` of the Idempotency-Key, so that the ledger and the answers forget it together. */
  idempotencyBegun: v.optional(v.number()),
  /** SHA-256 of the receipt, in hex. */
  receipt: v.optional(v.string()),
});
export type Billing = v.InferOutput<typeof Billing>;

/** The part of a request's event that the ledger records. */
export type LedgerEvent = Pick<
  RequestEvent,
  "id" | "at" | "requestId" | "model" | "version" | "placement" | "units"
> & { readonly variant?: string | undefined; readonly billing: Billing };

/** What others are told of an event: `net` is what is charged for it, after all that is taken off. */
export type ExportedEvent = LedgerEvent & { readonly net: Nano };

/** Why an event can't be recorded; another try may help with `unknown_price` and `not_yet` alone. */
export type RefusalReason =
  | "wrong_account"
  | "unknown_price"
  | "wrong_amount"
  | "invalid_units"
  | "too_late"
  | "not_yet"
  /** The books can't take it: a sum would grow above what can be counted. */
  | "unbookable";

export interface Recorded {
  readonly recorded: number;
  readonly duplicates: number;
  readonly refused: readonly { readonly id: string; readonly reason: RefusalReason }[];
}
