import { NANO_PER_DOLLAR, type Nano, nano, subtract } from "../money.ts";
import { dayOf, endOf, monthOf } from "../periods.ts";
import type { Price } from "../price.ts";
import { ACCOUNT, spentIn, tokenSubject } from "./counters.ts";
import { freeValueOf, plusFree } from "./free-units.ts";
import { balanceOf } from "./journal.ts";
import { LEASE_GRACE_SECONDS, firstHeldEnd, outstandingOf, returnLease } from "./lease-holds.ts";
import type { Terms } from "./terms.ts";

/** No lease is handed out when a sum of the books is so near to 2^53: what is out must still be booked. */
export const CAP_MARGIN: Nano = 100_000 * NANO_PER_DOLLAR;

const MIN_TTL_SECONDS = 5;
const MAX_TTL_SECONDS = 300;

/** Where credit is scarce, what an isolate takes and does not use is missed by others: it comes back soon. */
const SCARCE_TTL_SECONDS = 15;

/** One lease takes at most this part of what is available, so that others find something. */
const LARGEST_SHARE = 8;

export interface LeaseRequest {
  readonly isolate: string;
  /** What would last for a while. */
  readonly wanted: Nano;
  /** What the request that waits needs: with less, the lease is of no use. */
  readonly minimum: Nano;
  readonly ttlSeconds: number;
  /** A client token with a spending limit of its own. */
  readonly token?: { readonly id: string; readonly limit?: Nano | undefined } | undefined;
  /** Leases that the isolate won't spend from any more, and what it had left of them. */
  readonly returned?: readonly ReturnedLease[];
}

export interface ReturnedLease {
  readonly id: string;
  readonly unspent: Nano;
  /** No request that was admitted against it is running: what is not unspent was spent. */
  readonly isSettled?: boolean | undefined;
}

export type LeaseRefusalCode = "payment_required" | "limit_reached" | "account_suspended";

export interface LeaseRefusal {
  readonly ok: false;
  readonly code: LeaseRefusalCode;
  /** Which limit: of a day, a month, or the token. */
  readonly limit?: "day" | "month" | "token";
  readonly available: Nano;
  /** What isolates hold, or may have spent. */
  readonly outstanding: Nano;
  /** When there may be more without anybody paying. */
  readonly retryAfterSeconds?: number;
}

export interface LeaseGrant {
  readonly ok: true;
  readonly id: string;
  readonly credit: Nano;
  readonly ttlSeconds: number;
  readonly expiresAt: number;
  /** There was not as much as wanted: to be taken only when it is needed. */
  readonly isScarce: boolean;
}

export type LeaseAnswer = LeaseGrant | LeaseRefusal;

interface Bound {
  readonly code: LeaseRefusalCode;
  readonly limit?: "day" | "month" | "token";
  readonly left: Nano;
  readonly outstanding: Nano;
  readonly renewsAt?: number;
}

export interface Granting {
  readonly now: number;
  readonly newId: () => string;
  readonly prices: readonly Price[];
}

/** To be called within a transaction. */
export function grantLease(
  sql: SqlStorage,
  terms: Terms,
  request: LeaseRequest,
  { now, newId, prices }: Granting,
): LeaseAnswer {
  for (const returned of request.returned ?? []) returnLease(sql, returned);
  const bound = tightest(boundsOf(sql, terms, request, { now, prices }));
  const available = subtract(bound.left, bound.outstanding);
  if (terms.suspended) {
    const { outstanding } = bound;
    return { ok: false, code: "account_suspended", available: 0, outstanding };
  }
  if (isNearCap(sql)) {
    return { ok: false, code: "limit_reached", available: 0, outstanding: bound.outstanding };
  }
  if (available < request.minimum) return refusal(sql, bound, request.minimum, now);
  const share = Math.max(request.minimum, Math.floor(available / LARGEST_SHARE));
  const wanted = Math.max(request.minimum, request.wanted);
  const credit = nano(Math.min(wanted, share));
  const isScarce = credit < wanted;
  const longest = isScarce ? SCARCE_TTL_SECONDS : MAX_TTL_SECONDS;
  const ttlSeconds = Math.min(Math.max(request.ttlSeconds, MIN_TTL_SECONDS), longest);
  const id = newId();
  const expiresAt = now + ttlSeconds * 1_000;
  sql.exec(
    "INSERT INTO leases (id, isolate, token, credit, granted, expires) VALUES (?, ?, ?, ?, ?, ?)",
    id,
    request.isolate,
    request.token?.id ?? "",
    credit,
    now,
    expiresAt,
  );
  return { ok: true, id, credit, ttlSeconds, expiresAt, isScarce };
}

function isNearCap(sql: SqlStorage): boolean {
  const { most } = sql
    .exec<{ most: number }>("SELECT COALESCE(MAX(MAX(debits, credits)), 0) AS most FROM balances")
    .one();
  return most > Number.MAX_SAFE_INTEGER - CAP_MARGIN;
}

function boundsOf(
  sql: SqlStorage,
  { account, funding, limits }: Terms,
  { token }: LeaseRequest,
  { now, prices }: Pick<Granting, "now" | "prices">,
): Bound[] {
  const outstanding = outstandingOf(sql, now);
  const bounds: Bound[] = [];
  const left =
    funding === "prepaid"
      ? plusFree(balanceOf(sql, account), freeValueOf(sql, prices, now))
      : Number.MAX_SAFE_INTEGER;
  bounds.push({ code: "payment_required", left, outstanding });
  const periods = { day: dayOf(now), month: monthOf(now) } as const;
  for (const limit of ["day", "month"] as const) {
    const most = limits[limit];
    if (most === undefined) continue;
    bounds.push({
      code: "limit_reached",
      limit,
      left: subtract(most, spentIn(sql, ACCOUNT, periods[limit])),
      outstanding,
      renewsAt: endOf(limit, now),
    });
  }
  if (token?.limit !== undefined) {
    bounds.push({
      code: "limit_reached",
      limit: "token",
      left: subtract(token.limit, spentIn(sql, tokenSubject(token.id))),
      outstanding: outstandingOf(sql, now, token.id),
    });
  }
  return bounds;
}

function tightest(bounds: readonly Bound[]): Bound {
  return bounds.reduce((least, bound) =>
    bound.left - bound.outstanding < least.left - least.outstanding ? bound : least,
  );
}

function refusal(sql: SqlStorage, bound: Bound, minimum: Nano, now: number): LeaseRefusal {
  const { code, limit, left, outstanding, renewsAt } = bound;
  const expires = firstHeldEnd(sql, now);
  // Enough would be left if nothing were held back: some of it may come back unspent.
  const isHeld = left >= minimum && expires !== undefined;
  const again = isHeld ? Math.max(expires + LEASE_GRACE_SECONDS * 1_000, now + 1_000) : renewsAt;
  return {
    ok: false,
    code,
    ...(limit !== undefined && { limit }),
    available: Math.max(0, left - outstanding),
    outstanding,
    ...(again !== undefined && { retryAfterSeconds: Math.ceil((again - now) / 1_000) }),
  };
}
