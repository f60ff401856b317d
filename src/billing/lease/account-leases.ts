import type { LeaseGrant, LeaseRefusal, ReturnedLease } from "../ledger/leases.ts";
import { type Nano, add, subtract } from "../money.ts";
import type { Log } from "../../telemetry/log.ts";

/** A new lease is to last for so long at the rate of the last one. */
const LAST_SECONDS = 30;

/** The first lease of an account is for so many requests like the one that waits. */
const FIRST_REQUESTS = 20;

const RENEW_AT_LIFE = 2 / 3;

/** A request that has not settled so long after the end of its lease was lost. */
const SETTLING_MS = 15 * 60_000;

/** One lease while it can be spent from. */
export interface HeldLease {
  readonly id: string;
  readonly credit: Nano;
  readonly takenAt: number;
  readonly endsAt: number;
  readonly isScarce: boolean;
  /** What is neither spent nor set aside; below zero when requests cost more than their estimates. */
  left: Nano;
  /** Requests whose estimate is set aside. */
  running: number;
  readonly of: AccountLeases;
}

/** What an isolate holds of one account, or of one client token. */
export class AccountLeases {
  /** Spent since the last lease was taken. */
  spent: Nano = 0;
  asking: { readonly at: number; readonly answered: Promise<boolean> } | undefined;
  unreachableUntil = 0;
  /** The last that was asked of the ledger was not answered. */
  isUnreachable = false;
  refusedAt = 0;
  #held: HeldLease[] = [];
  /** Over, but for what their last requests have set aside. */
  #ending: HeldLease[] = [];
  #returning: ReturnedLease[] = [];
  #refusal: { answer: LeaseRefusal; minimum: Nano; until: number } | undefined;
  #since: number | undefined;

  /** Sets an estimate aside from the oldest lease that has it. */
  take(estimate: Nano, now: number): HeldLease | undefined {
    for (const lease of this.#held) {
      if (lease.left < estimate || now >= lease.endsAt) continue;
      lease.left -= estimate;
      lease.running++;
      return lease;
    }
    return undefined;
  }

  /** What a request cost whose estimate was set aside. */
  settle(lease: HeldLease, estimate: Nano, amount: Nano): void {
    lease.left = add(lease.left, subtract(estimate, amount));
    lease.running--;
    this.spent = add(this.spent, amount);
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
    this.#held.push({
      id,
      credit,
      left: credit,
      takenAt: askedAt,
      endsAt,
      isScarce,
      running: 0,
      of: this,
    });
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
   * them still will. Once it is they are told of again, as settled: all else of them was spent.
   */
  returnable(now: number, least: Nano): readonly ReturnedLease[] {
    const isOver = ({ endsAt, left }: HeldLease): boolean => now >= endsAt || left < least;
    const over = this.#held.filter(isOver);
    this.#held = this.#held.filter((lease) => !isOver(lease));
    for (const { id, left, running } of over) {
      if (running > 0 && left > 0) this.#returning.push({ id, unspent: left });
    }
    const ending = [...this.#ending, ...over];
    for (const { id, left, running } of ending) {
      if (running > 0) continue;
      this.#returning.push({ id, unspent: Math.max(0, left), isSettled: true });
    }
    this.#ending = ending.filter(
      ({ running, endsAt }) => running > 0 && now < endsAt + SETTLING_MS,
    );
    return [...this.#returning];
  }

  wereReturned(returned: readonly ReturnedLease[]): void {
    this.#returning = this.#returning.filter((lease) => !returned.includes(lease));
  }

  /** Says it once, until the ledger is reached again. */
  tellUnreachable(account: string, cause: unknown, log: Pick<Log, "warn"> | undefined): void {
    if (this.isUnreachable) return;
    this.isUnreachable = true;
    log?.warn("ledger_unreachable", { account, cause: String(cause) });
  }

  holdsAny(now: number): boolean {
    return this.asking !== undefined || this.#held.some(({ endsAt }) => now < endsAt);
  }
}
