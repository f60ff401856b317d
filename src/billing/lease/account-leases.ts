import type { LeaseGrant, LeaseRefusal } from "../ledger/leases.ts";
import type { Nano } from "../money.ts";

/** A new lease is to last for so long at the rate of the last one. */
const LAST_SECONDS = 30;

/** The first lease of an account is for so many requests like the one that waits. */
const FIRST_REQUESTS = 20;

const RENEW_AT_LIFE = 2 / 3;

/** One lease while it can be spent from. */
export interface HeldLease {
  readonly id: string;
  readonly credit: Nano;
  readonly takenAt: number;
  readonly endsAt: number;
  readonly isScarce: boolean;
  /** What is neither spent nor set aside; below zero when requests cost more than their estimates. */
  left: Nano;
  readonly of: AccountLeases;
}

/** What an isolate holds of one account, or of one client token. */
export class AccountLeases {
  /** Spent since the last lease was taken. */
  spent: Nano = 0;
  asking: { readonly at: number; readonly answered: Promise<boolean> } | undefined;
  unreachableUntil = 0;
  refusedAt = 0;
  #held: HeldLease[] = [];
  #returning: { readonly id: string; readonly unspent: Nano }[] = [];
  #refusal: { answer: LeaseRefusal; minimum: Nano; until: number } | undefined;
  #since: number | undefined;

  /** Sets an estimate aside from the oldest lease that has it. */
  take(estimate: Nano, now: number): HeldLease | undefined {
    for (const lease of this.#held) {
      if (lease.left < estimate || now >= lease.endsAt) continue;
      lease.left -= estimate;
      return lease;
    }
    return undefined;
  }

  /** Whether the newest lease is half spent or near its end, and more would be had by asking. */
  isRunningLow(now: number): boolean {
    const newest = this.#held.at(-1);
    if (newest === undefined || newest.isScarce || newest.credit === 0) return false;
    if (now < this.unreachableUntil) return false;
    if (this.#refusal !== undefined && now < this.#refusal.until) return false;
    const { credit, left, takenAt, endsAt } = newest;
    return left <= credit / 2 || now >= takenAt + (endsAt - takenAt) * RENEW_AT_LIFE;
  }

  /** Enough for half a minute at the rate since the last lease; the ledger knows how much that may be. */
  wanted(estimate: Nano, now: number): Nano {
    const first = estimate * FIRST_REQUESTS;
    // Bursts of a few milliseconds say nothing of the next half minute.
    const seconds = Math.max(1, (now - (this.#since ?? now)) / 1_000);
    const lasting = Math.ceil((this.spent / seconds) * LAST_SECONDS);
    return Math.min(Math.max(first, lasting), Number.MAX_SAFE_INTEGER);
  }

  /** @param askedAt by this isolate's clock: the lease is over here before it is over for the ledger */
  hold({ id, credit, ttlSeconds, isScarce }: LeaseGrant, askedAt: number): void {
    const endsAt = askedAt + ttlSeconds * 1_000;
    this.#held.push({ id, credit, left: credit, takenAt: askedAt, endsAt, isScarce, of: this });
    this.spent = 0;
    this.#since = askedAt;
    this.#refusal = undefined;
  }

  refuse(answer: LeaseRefusal, minimum: Nano, now: number, forMs: number): void {
    this.#refusal = { answer, minimum, until: now + forMs };
    this.refusedAt = now;
  }

  /** The last refusal, where it holds for this estimate and this moment. */
  refusalOf(estimate: Nano, now: number): LeaseRefusal | undefined {
    const refusal = this.#refusal;
    if (refusal === undefined || now >= refusal.until || estimate < refusal.minimum) {
      return undefined;
    }
    return refusal.answer;
  }

  /**
   * Leases that are over or have less left than this, and won't be spent from any more; what was set aside of
   * them still will.
   */
  returnable(now: number, least: Nano): readonly { readonly id: string; readonly unspent: Nano }[] {
    const isOver = ({ endsAt, left }: HeldLease): boolean => now >= endsAt || left < least;
    const over = this.#held.filter(isOver);
    this.#held = this.#held.filter((lease) => !isOver(lease));
    for (const { id, left } of over) if (left > 0) this.#returning.push({ id, unspent: left });
    return [...this.#returning];
  }

  wereReturned(returned: readonly { readonly id: string }[]): void {
    const ids = new Set(returned.map(({ id }) => id));
    this.#returning = this.#returning.filter(({ id }) => !ids.has(id));
  }

  holdsAny(now: number): boolean {
    return this.asking !== undefined || this.#held.some(({ endsAt }) => now < endsAt);
  }
}
