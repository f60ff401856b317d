import { GRACE_LEASE } from "./ledger/event.ts";
import type { LeaseAnswer, LeaseRefusal, LeaseRequest } from "./ledger/leases.ts";
import { AccountLeases, type HeldLease } from "./lease/account-leases.ts";
import { type Nano, add, subtract } from "./money.ts";
import { HOUR_MS } from "./periods.ts";
import type { Log } from "../telemetry/log.ts";

/** Asks the account's ledger. It may fail, and may never answer. */
export type AskLedger = (account: string, request: LeaseRequest) => Promise<LeaseAnswer>;

export type GiveBack = (
  account: string,
  lease: string,
  unspent: Nano,
  isSettled?: boolean,
) => Promise<unknown>;

export type Wait = (milliseconds: number) => Promise<unknown>;

/** Who pays for a request. */
export interface Payer {
  readonly account: string;
  readonly token?: LeaseRequest["token"];
  /** What an isolate may admit in an hour while the ledger can't be reached; 0 refuses. */
  readonly graceNano: Nano;
}

/** What a request lends to the holder. */
export interface AdmitContext {
  readonly log?: Pick<Log, "warn">;
  now(): number;
  waitUntil(promise: Promise<unknown>): void;
}

export interface Admitted {
  readonly kind: "admitted";
  /** For the event. */
  readonly lease: string;
  readonly account: string;
  readonly estimate: Nano;
  readonly held: HeldLease | undefined;
}

export interface Refused {
  readonly kind: "refused";
  readonly code: LeaseRefusal["code"] | "ledger_unreachable";
  readonly limit?: LeaseRefusal["limit"];
  readonly retryAfterSeconds?: number | undefined;
}

/** There is no credit in this isolate: one call of the ledger decides. */
export interface Pending {
  readonly kind: "pending";
  readonly decided: Promise<Admitted | Refused>;
}

export interface LeaseStats {
  readonly asked: number;
  readonly granted: number;
  readonly refused: number;
  readonly failed: number;
  /** Requests admitted without a lease, and what they cost. */
  readonly onGrace: number;
  readonly graceNano: Nano;
}

const TTL_SECONDS = 60;

/** A ledger that takes longer counts as out of reach. One that is far away answers in 0.3 s. */
const ANSWER_MS = 2_000;

/** One that could not be reached is left alone for so long. */
const RETRY_MS = 1_000;

/** A refusal is believed for so long: credit that is added works a second later. */
const REFUSAL_MS = 1_000;

/** The request that asked was cancelled, and its I/O with it. */
const STALL_MS = 5_000;

/** How often leases that have ended are looked for. */
const SWEEP_MS = 5_000;

/** 1 KB each; above that, those that hold nothing go. */
const MAX_PAYERS = 4_000;

/**
 * Credit that an isolate took in advance, so that admitting a request costs no I/O: the ledger is asked in
 * the background when half of a lease is spent or two thirds of its time are over.
 *
 * It admits at most what it was granted, plus by how much a request costs more than its estimate, plus
 * `graceNano` an hour while the ledger can't be reached.
 *
 * ```ts
 * const admission = leases.admit(payer, estimate, context);
 * const decided = admission.kind === "pending" ? await admission.decided : admission;
 * if (decided.kind === "refused") return refuse(decided);
 * // …
 * leases.spend(decided, amount); // 0 when the request failed
 * ```
 */
export class LeaseHolder {
  readonly #isolate: string;
  readonly #ask: AskLedger;
  readonly #wait: Wait;
  readonly #payers = new Map<string, AccountLeases>();
  readonly #grace = new Map<string, { from: number; used: Nano }>();
  #sweptAt = 0;
  #stats = { asked: 0, granted: 0, refused: 0, failed: 0, onGrace: 0, graceNano: 0 };

  constructor(isolate: string, ask: AskLedger, wait: Wait = (ms) => scheduler.wait(ms)) {
    this.#isolate = isolate;
    this.#ask = ask;
    this.#wait = wait;
  }

  get stats(): LeaseStats {
    return { ...this.#stats };
  }

  /** Sets the estimate aside, or says why not. Every admission is to be followed by `spend`. */
  admit(payer: Payer, estimate: Nano, context: AdmitContext): Admitted | Refused | Pending {
    const now = context.now();
    const leases = this.#leasesOf(payer, now);
    const held = leases.take(estimate, now);
    if (held !== undefined) {
      if (leases.isRunningLow(now) && !this.#isAsking(leases, now)) {
        void this.#renew(payer, leases, estimate, context);
      }
      return admitted(payer, estimate, held);
    }
    const refusal = leases.refusalOf(estimate, now);
    if (refusal !== undefined) return refused(refusal, now, leases.refusedAt);
    if (now < leases.unreachableUntil) return this.#admitOnGrace(payer, estimate, context);
    return { kind: "pending", decided: this.#decide(payer, leases, estimate, context) };
  }

  /** What an admitted request cost in the end. Once for each. */
  spend({ account, estimate, held }: Admitted, amount: Nano): void {
    if (held !== undefined) {
      held.of.settle(held, estimate, amount);
      return;
    }
    const grace = this.#grace.get(account);
    if (grace !== undefined) grace.used = Math.max(0, add(grace.used, subtract(amount, estimate)));
    this.#stats.graceNano = add(this.#stats.graceNano, amount);
  }

  /**
   * Gives back what was left of leases that have ended, of accounts that ask for no more: best effort, because
   * the ledger releases them by itself some time later.
   */
  giveBackEnded(giveBack: GiveBack, context: AdmitContext): void {
    const now = context.now();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for (const [key, leases] of this.#payers) {
      const [account = ""] = key.split(" ");
      if (leases.asking !== undefined) continue;
      const ended = leases.returnable(now, 0);
      if (ended.length === 0) continue;
      leases.wereReturned(ended);
      for (const { id, unspent, isSettled } of ended) {
        context.waitUntil(giveBack(account, id, unspent, isSettled).catch(() => {}));
      }
    }
  }

  async #decide(
    payer: Payer,
    leases: AccountLeases,
    estimate: Nano,
    context: AdmitContext,
  ): Promise<Admitted | Refused> {
    // Every grant is enough for one of those who wait, so all get their turn.
    for (;;) {
      const asking = this.#isAsking(leases, context.now())
        ? leases.asking?.answered
        : this.#renew(payer, leases, estimate, context);
      const isAnswered = await Promise.race([asking, this.#wait(ANSWER_MS).then(() => false)]);
      const now = context.now();
      if (isAnswered !== true) {
        leases.tellUnreachable(payer.account, `No answer in ${ANSWER_MS} ms.`, context.log);
        return this.#admitOnGrace(payer, estimate, context);
      }
      const held = leases.take(estimate, now);
      if (held !== undefined) return admitted(payer, estimate, held);
      const refusal = leases.refusalOf(estimate, now);
      if (refusal !== undefined) return refused(refusal, now, leases.refusedAt);
    }
  }

  #isAsking({ asking }: AccountLeases, now: number): boolean {
    return asking !== undefined && now - asking.at < STALL_MS;
  }

  /** Resolves to whether the ledger answered. Never rejects. */
  #renew(
    payer: Payer,
    leases: AccountLeases,
    estimate: Nano,
    context: AdmitContext,
  ): Promise<boolean> {
    const at = context.now();
    const asking = { at, answered: this.#askFor(payer, leases, estimate, at, context) };
    leases.asking = asking;
    const answered = asking.answered.finally(() => {
      if (leases.asking === asking) leases.asking = undefined;
    });
    // Others wait for the answer: it must come even when this request is cancelled.
    context.waitUntil(answered);
    return answered;
  }

  async #askFor(
    { account, token }: Payer,
    leases: AccountLeases,
    estimate: Nano,
    askedAt: number,
    context: AdmitContext,
  ): Promise<boolean> {
    const returned = leases.returnable(askedAt, estimate);
    this.#stats.asked++;
    try {
      const answer = await this.#ask(account, {
        isolate: this.#isolate,
        wanted: leases.wanted(estimate, askedAt),
        minimum: estimate,
        ttlSeconds: TTL_SECONDS,
        ...(token !== undefined && { token }),
        ...(returned.length > 0 && { returned }),
      });
      leases.wereReturned(returned);
      leases.isUnreachable = false;
      if (answer.ok) {
        this.#stats.granted++;
        leases.hold(answer, askedAt);
      } else {
        this.#stats.refused++;
        leases.refuse(answer, estimate, context.now(), REFUSAL_MS);
      }
      return true;
    } catch (cause) {
      this.#stats.failed++;
      leases.tellUnreachable(account, cause, context.log);
      leases.unreachableUntil = context.now() + RETRY_MS;
      return false;
    }
  }

  #admitOnGrace(
    { account, graceNano }: Payer,
    estimate: Nano,
    context: AdmitContext,
  ): Admitted | Refused {
    const now = context.now();
    const known = this.#grace.get(account);
    const grace =
      known !== undefined && now - known.from < HOUR_MS ? known : { from: now, used: 0 };
    this.#grace.set(account, grace);
    const used = add(grace.used, estimate);
    if (used > graceNano) {
      return { kind: "refused", code: "ledger_unreachable", retryAfterSeconds: RETRY_MS / 1_000 };
    }
    grace.used = used;
    this.#stats.onGrace++;
    context.log?.warn("grace_admission", { account, usedNano: used, graceNano });
    return { kind: "admitted", lease: GRACE_LEASE, account, estimate, held: undefined };
  }

  #leasesOf({ account, token }: Payer, now: number): AccountLeases {
    const key = token === undefined ? account : `${account} ${token.id}`;
    let leases = this.#payers.get(key);
    if (leases === undefined) {
      if (this.#payers.size >= MAX_PAYERS) this.#tidy(now);
      leases = new AccountLeases();
      this.#payers.set(key, leases);
    }
    return leases;
  }

  #tidy(now: number): void {
    for (const [key, leases] of this.#payers) {
      if (!leases.holdsAny(now)) this.#payers.delete(key);
    }
    for (const [account, { from }] of this.#grace) {
      if (now - from >= HOUR_MS) this.#grace.delete(account);
    }
  }
}

function admitted({ account }: Payer, estimate: Nano, held: HeldLease): Admitted {
  return { kind: "admitted", lease: held.id, account, estimate, held };
}

function refused(
  { code, limit, retryAfterSeconds }: LeaseRefusal,
  now: number,
  refusedAt: number,
): Refused {
  const passed = Math.floor((now - refusedAt) / 1_000);
  return {
    kind: "refused",
    code,
    ...(limit !== undefined && { limit }),
    ...(retryAfterSeconds !== undefined && {
      retryAfterSeconds: Math.max(1, retryAfterSeconds - passed),
    }),
  };
}
