import type { Principal } from "../accounts/principal.ts";
import type { Payer, Refused } from "../billing/lease.ts";
import { type Nano, NANO_PER_DOLLAR } from "../billing/money.ts";
import { NearsideError } from "../errors.ts";

/** What an isolate gives on credit in an hour while the ledger can't be reached; an account may have its own. */
const GRACE_NANO: Readonly<Record<string, Nano>> = {
  free: 0,
  pay: NANO_PER_DOLLAR / 10,
  enterprise: NANO_PER_DOLLAR,
};

/**
 * Whose credit a request is admitted against. A client token has no grace: without the ledger nobody knows what
 * other isolates let it spend, and it may have been copied.
 */
export function payerOf({ account, tokenId, maxSpendNano }: Principal): Payer {
  return {
    account: account.id,
    graceNano: tokenId === undefined ? (account.grace?.nano ?? GRACE_NANO[account.plan] ?? 0) : 0,
    ...(tokenId !== undefined && { token: { id: tokenId, limit: maxSpendNano } }),
  };
}

/** A refusal in words for the caller. */
export function refusalOf({ code, limit, retryAfterSeconds }: Refused): NearsideError {
  const words = {
    payment_required: "The account has no credit left for this request; add some.",
    limit_reached:
      limit === "token"
        ? "The client token has spent what it may."
        : `The account's spending limit of the ${limit ?? "period"} is reached.`,
    account_suspended: "The account is suspended; ask its owner.",
    ledger_unreachable: "The account's ledger can't be reached right now; try again.",
  } as const;
  return new NearsideError(
    code,
    words[code],
    retryAfterSeconds === undefined ? {} : { retryAfterSeconds },
  );
}
