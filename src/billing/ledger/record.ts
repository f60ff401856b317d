import { type Nano, MoneyError, add, subtract } from "../money.ts";
import { DAY_MS, dayOf, hourOf, monthOf, startOf } from "../periods.ts";
import { type Price, amountOf, discountOf, scopeOf } from "../price.ts";
import type { Outbox } from "../outbox.ts";
import { MonthUnits, Spending } from "./counters.ts";
import type { LedgerEvent, Recorded, RefusalReason } from "./event.ts";
import { type EntryKind, enter } from "./journal.ts";
import { noteLateness } from "./lease-holds.ts";
import { horizonOf } from "./retention.ts";
import { Sums, saveSums } from "./sums.ts";
import type { Terms } from "./terms.ts";

/** A retried request is billed once within this time: so long the first answer is kept, too. */
export const IDEMPOTENCY_MS = DAY_MS;

/** Clocks of the edge may be ahead by so much. */
const MAX_AHEAD_MS = 5 * 60_000;

/** Looks a price up by its id. Prices don't change, so it does not matter when. */
export type PriceOf = (id: string) => Price | undefined;

type Charge = Readonly<Record<"amount" | "allowance" | "volume" | "repeated", Nano>>;

/**
 * One batch of events: an entry of the journal for each of its hours, and each kind that is not zero.
 *
 * Entries are not gathered to one an hour: the journal is append-only, and an hour takes events for 35 days, so
 * balances would wait for a running row that is not in the books. A batch is up to 100 events or a second; at
 * one batch a second all year an account has 32 million entries of 150 bytes, half of what its object can hold.
 */
export class Recording {
  readonly #sql: SqlStorage;
  readonly #terms: Terms;
  readonly #outbox: Outbox;
  readonly #now: number;
  readonly #hours = new Sums();
  readonly #days = new Sums();
  readonly #units: MonthUnits;
  readonly #spending = new Spending();
  readonly #drawn = new Map<string, Nano>();
  readonly #entries = new Map<number, { first: number; amounts: Map<EntryKind, Nano> }>();

  constructor(sql: SqlStorage, terms: Terms, outbox: Outbox, now: number) {
    this.#sql = sql;
    this.#terms = terms;
    this.#outbox = outbox;
    this.#now = now;
    this.#units = new MonthUnits(sql);
  }

  /** To be called within a transaction. */
  run(events: readonly LedgerEvent[], priceOf: PriceOf): Recorded {
    let recorded = 0;
    let duplicates = 0;
    const refused: { id: string; reason: RefusalReason }[] = [];
    for (const event of events) {
      if (this.#isKnown(event.id)) {
        duplicates++;
        continue;
      }
      const price = priceOf(event.billing.price);
      const reason = this.#refusal(event, price);
      if (price === undefined || reason !== undefined) {
        refused.push({ id: event.id, reason: reason ?? "unknown_price" });
        continue;
      }
      this.#record(event, price);
      recorded++;
    }
    if (recorded > 0) this.#save();
    return { recorded, duplicates, refused };
  }

  #isKnown(id: string): boolean {
    return this.#sql.exec("SELECT 1 FROM events WHERE id = ?", id).toArray().length > 0;
  }

  #refusal(
    { at, units, billing }: LedgerEvent,
    price: Price | undefined,
  ): RefusalReason | undefined {
    if (billing.account !== this.#terms.account) return "wrong_account";
    // Its row may be in a file already, so nobody could tell whether it comes again.
    if (!(at >= horizonOf(this.#now))) return "too_late";
    if (at > this.#now + MAX_AHEAD_MS) return "not_yet";
    if (price === undefined) return "unknown_price";
    try {
      return amountOf(price, units) === billing.amount ? undefined : "wrong_amount";
    } catch (error) {
      if (error instanceof MoneyError) return "invalid_units";
      throw error;
    }
  }

  #record(event: LedgerEvent, price: Price): void {
    const at = Math.floor(event.at);
    const { model, version, placement, units, billing } = event;
    const { key, amount, lease, token = "" } = billing;
    const isRepeat = this.#isRepeat(billing, begunOf(event));
    const charge = this.#chargeOf(event, at, price, isRepeat);
    const seq = this.#insert(event, at, scopeOf(price), charge);
    const sum = { model, version, key, placement, requests: 1, units: { ...units }, ...charge };
    this.#hours.add(hourOf(at), sum);
    this.#days.add(dayOf(at), sum);
    const net = subtract(amount, add(charge.allowance, charge.volume, charge.repeated));
    this.#spending.add(at, token, net);
    this.#drawn.set(lease, add(this.#drawn.get(lease) ?? 0, amount));
    this.#enter(startOf("hour", at), seq, charge);
    // Others have counted the first one: told again they would bill its units twice.
    if (isRepeat) return;
    for (const target of this.#terms.exports) {
      this.#outbox.put(target, { ...event, net }, this.#now);
    }
  }

  #chargeOf({ units, billing }: LedgerEvent, at: number, price: Price, isRepeat: boolean): Charge {
    const { amount } = billing;
    // One that costs nothing has nothing to be taken off.
    if (amount > 0 && isRepeat) {
      return { amount, allowance: 0, volume: 0, repeated: amount };
    }
    const month = monthOf(at);
    const scope = scopeOf(price);
    const discount = discountOf(price, this.#units.soFar(month, scope), units);
    this.#units.add(month, scope, units);
    return { amount, ...discount, repeated: 0 };
  }

  #isRepeat({ key, idempotencyKey }: LedgerEvent["billing"], begun: number): boolean {
    if (idempotencyKey === undefined || idempotencyKey === "") return false;
    return (
      this.#sql
        .exec(
          `SELECT 1 FROM events
           WHERE key = ? AND idempotency = ? AND idempotency <> '' AND repeated = 0
             AND begun > ? AND begun < ?`,
          key,
          idempotencyKey,
          begun - IDEMPOTENCY_MS,
          begun + IDEMPOTENCY_MS,
        )
        .toArray().length > 0
    );
  }

  #insert(event: LedgerEvent, at: number, scope: string, charge: Charge): number {
    const { billing } = event;
    const { seq } = this.#sql
      .exec<{ seq: number }>(
        `INSERT INTO events (id, at, day, request, model, version, key, placement, variant, price,
           scope, units, amount, allowance, volume, repeated, lease, token, idempotency, begun,
           receipt)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
        event.id,
        at,
        dayOf(at),
        event.requestId,
        event.model,
        event.version,
        billing.key,
        event.placement,
        event.variant ?? "",
        billing.price,
        scope,
        JSON.stringify(event.units),
        charge.amount,
        charge.allowance,
        charge.volume,
        charge.repeated,
        billing.lease,
        billing.token ?? "",
        billing.idempotencyKey ?? "",
        begunOf(event),
        billing.receipt ?? "",
      )
      .one();
    return seq;
  }

  #enter(hour: number, seq: number, { amount, allowance, volume, repeated }: Charge): void {
    const entry = this.#entries.get(hour) ?? { first: seq, amounts: new Map() };
    this.#entries.set(hour, entry);
    const kinds = { usage: amount, allowance, volume, repeat: repeated } as const;
    for (const [kind, more] of Object.entries(kinds) as [EntryKind, Nano][]) {
      entry.amounts.set(kind, add(entry.amounts.get(kind) ?? 0, more));
    }
  }

  #save(): void {
    for (const [hour, { first, amounts }] of this.#entries) {
      for (const [kind, amount] of amounts) {
        if (amount === 0) continue;
        // Numbers of events are not used twice, so neither are these ids.
        const id = `${kind}:${hourOf(hour)}:${first}`;
        enter(this.#sql, this.#terms.account, { id, kind, at: hour, amount }, this.#now);
      }
    }
    saveSums(this.#sql, "hours", this.#hours);
    saveSums(this.#sql, "days", this.#days);
    this.#units.save();
    this.#spending.save(this.#sql);
    noteLateness(this.#sql, this.#drawn.keys(), this.#now);
    for (const [lease, amount] of this.#drawn) {
      this.#sql.exec("UPDATE leases SET drawn = drawn + ? WHERE id = ?", amount, lease);
    }
  }
}

/** By the clock of the answers, where the event says it. */
function begunOf({ at, billing }: LedgerEvent): number {
  return Math.floor(billing.idempotencyBegun ?? at);
}
