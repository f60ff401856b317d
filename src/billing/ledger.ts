import { type LedgerStorage, createTables } from "./ledger-schema.ts";
import { LedgerError } from "./ledger/errors.ts";
import { type BilledEvent, billedEvent } from "./ledger/billed-event.ts";
import type { LedgerEvent, Recorded } from "./ledger/event.ts";
import { type Entry, balanceOf, enter } from "./ledger/journal.ts";
import { outstandingOf, returnLease } from "./ledger/lease-holds.ts";
import { type LeaseAnswer, type LeaseRequest, grantLease } from "./ledger/leases.ts";
import { type PriceOf, Recording } from "./ledger/record.ts";
import { recordEach } from "./ledger/record-each.ts";
import { ACCOUNT, spentIn } from "./ledger/counters.ts";
import { type EventFile, FILE_EVENTS, confirmFile, nextFile, prune } from "./ledger/retention.ts";
import { type Statement, statementOf, sumsIn } from "./ledger/statement-of.ts";
import type { PeriodSum } from "./ledger/sums.ts";
import { type Terms, readTerms, writeTerms } from "./ledger/terms.ts";
import { type Verification, verify } from "./ledger/verify.ts";
import { type Nano, nano } from "./money.ts";
import { Outbox } from "./outbox.ts";
import { dayOf, monthOf } from "./periods.ts";
import type { Price } from "./price.ts";

export interface Standing {
  readonly balance: Nano;
  /** What isolates hold or may have spent of it. */
  readonly outstanding: Nano;
  readonly spentToday: Nano;
  readonly spentThisMonth: Nano;
}

/** An entry that a person makes; its id makes it once. */
export interface ManualEntry {
  readonly id: string;
  readonly amount: Nano;
  readonly note: string;
}

/**
 * One account's books, in the SQLite of its Durable Object: an append-only double-entry journal, the events
 * and sums beside it, and the leases that isolates spend from. Whatever a call does, it does whole or not at
 * all, and doing it again changes nothing.
 *
 * ```ts
 * const ledger = new Ledger(state.storage, () => Date.now());
 * ledger.setTerms({ account: "acc_…", funding: "prepaid", limits: {}, suspended: false, exports: [] });
 * ledger.enter("credit", { id: "payment-1", amount: fromDollars("25"), note: "by card" });
 * ledger.record(events, (id) => prices.get(id));
 * ledger.statement(from, to).closing;
 * ```
 */
export class Ledger {
  readonly #storage: LedgerStorage;
  readonly #now: () => number;
  readonly #newId: () => string;
  readonly #outbox: Outbox;
  #terms: Terms | undefined;

  constructor(
    storage: LedgerStorage,
    now: () => number,
    newId: () => string = () => crypto.randomUUID(),
  ) {
    this.#storage = storage;
    this.#now = now;
    this.#newId = newId;
    this.#outbox = new Outbox(storage.sql);
    createTables(storage.sql);
    this.#terms = readTerms(storage.sql);
  }

  /** @throws LedgerError `account_not_found` while no terms were ever set */
  get terms(): Terms {
    if (this.#terms === undefined) {
      throw new LedgerError("account_not_found", "There is no such account.");
    }
    return this.#terms;
  }

  setTerms(terms: Terms): void {
    writeTerms(this.#storage.sql, terms);
    this.#terms = terms;
  }

  /**
   * Records each event once, whatever comes how often in which order. One that the books can't take does not
   * take the others with it: it is refused, and they are recorded.
   */
  record(events: readonly LedgerEvent[], priceOf: PriceOf): Recorded {
    return recordEach(events, (some) => this.#record(some, priceOf));
  }

  #record(events: readonly LedgerEvent[], priceOf: PriceOf): Recorded {
    const { terms } = this;
    return this.#whole((sql) =>
      new Recording(sql, terms, this.#outbox, this.#now()).run(events, priceOf),
    );
  }

  /**
   * Hands out credit to an isolate, or says why not.
   *
   * @param prices whose free units of this month a prepaid account may use without credit
   */
  grant(request: LeaseRequest, prices: readonly Price[] = []): LeaseAnswer {
    const { terms } = this;
    return this.#whole((sql) =>
      grantLease(sql, terms, request, { now: this.#now(), newId: this.#newId, prices }),
    );
  }

  /** What an isolate won't spend of a lease is free for others at once. */
  returnLease(id: string, unspent: Nano, isSettled?: boolean): void {
    returnLease(this.#storage.sql, { id, unspent, isSettled });
  }

  /** One event by its id, while the ledger has it; undefined: it is in a file, or was never billed. */
  event(id: string): BilledEvent | undefined {
    return billedEvent(this.#storage.sql, id);
  }

  /**
   * Enters a payment, a refund of what was charged, or an adjustment, which alone may be below zero.
   *
   * @returns false when this kind of entry was made under this id before: nothing is entered then
   */
  enter(kind: "credit" | "refund" | "adjustment", { id, amount, note }: ManualEntry): boolean {
    const { account } = this.terms;
    if (nano(amount) === 0 || (amount < 0 && kind !== "adjustment")) {
      throw new RangeError(`A ${kind} of ${amount} can't be entered.`);
    }
    const entry: Entry = { id: `${kind}:${id}`, kind, at: this.#now(), amount, note };
    return this.#whole((sql) => enter(sql, account, entry, this.#now()));
  }

  standing(): Standing {
    const { sql } = this.#storage;
    const now = this.#now();
    return {
      balance: balanceOf(sql, this.terms.account),
      outstanding: outstandingOf(sql, now),
      spentToday: spentIn(sql, ACCOUNT, dayOf(now)),
      spentThisMonth: spentIn(sql, ACCOUNT, monthOf(now)),
    };
  }

  /** From one full hour of UTC up to another. @throws LedgerError `invalid_period` */
  statement(from: number, to: number): Statement {
    return statementOf(this.#storage.sql, this.terms.account, from, to, this.#now());
  }

  /** Sums by day, and by hour where a day is not whole. @throws LedgerError `invalid_period` */
  usage(from: number, to: number): PeriodSum[] {
    return sumsIn(this.#storage.sql, from, to, this.#now());
  }

  /** Counts everything again. */
  verify(): Verification {
    return verify(this.#storage.sql, this.#now());
  }

  /** Old events, to be stored as a file and then confirmed; undefined when there are none. */
  nextFile(limit: number = FILE_EVENTS): EventFile | undefined {
    return nextFile(this.#storage.sql, this.terms.account, this.#now(), limit);
  }

  /** @throws LedgerError `file_unknown` */
  confirmFile(file: Omit<EventFile, "body">): void {
    this.#whole((sql) => confirmFile(sql, file, this.#now()));
  }

  /** Forgets sums and leases of long ago. */
  prune(): void {
    this.#whole((sql) => prune(sql, this.#now()));
  }

  get outbox(): Outbox {
    return this.#outbox;
  }

  #whole<T>(work: (sql: SqlStorage) => T): T {
    return this.#storage.transactionSync(() => work(this.#storage.sql));
  }
}
