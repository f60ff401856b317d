import { DurableObject } from "cloudflare:workers";

import type { KeyRecord } from "../../src/accounts/key-record.ts";
import { type Answer, type Begun, IdempotencyStore } from "../../src/billing/idempotency.ts";
import { deliverDue } from "../../src/billing/deliver.ts";
import { exportSecret } from "../../src/billing/export-config.ts";
import { Ledger, type Standing } from "../../src/billing/ledger.ts";
import type { BilledEvent } from "../../src/billing/ledger/billed-event.ts";
import type { LedgerEvent, Recorded } from "../../src/billing/ledger/event.ts";
import type { LeaseAnswer, LeaseRequest } from "../../src/billing/ledger/leases.ts";
import type { Statement } from "../../src/billing/ledger/statement-of.ts";
import type { PeriodSum } from "../../src/billing/ledger/sums.ts";
import type { Verification } from "../../src/billing/ledger/verify.ts";
import type { Price } from "../../src/billing/price.ts";
import { readCatalogSource } from "../../src/catalog/changes.ts";
import { type AccountConfig, termsOf } from "../../src/control/accounts/account-config.ts";
import type {
  AccountBooks,
  Entered,
  ManualEntryRequest,
  OutboxView,
} from "../../src/control/accounts/account-books.ts";
import { answered } from "../../src/control/accounts/answered.ts";
import { enterOnce } from "../../src/control/accounts/enter-once.ts";
import { markLost, publishAccount } from "../../src/control/accounts/publication.ts";
import { replayDead, viewOutbox } from "../../src/control/accounts/outbox-view.ts";
import { AccountRegistry, type StoredKey } from "../../src/control/accounts/registry.ts";
import { Upkeep } from "../../src/control/accounts/upkeep.ts";
import type { RpcResult } from "../../src/rollout/view.ts";
import { consoleLog } from "../../src/telemetry/log.ts";
import type { Env } from "./env.ts";

/** What could not be shown to the edge is tried again so soon: KV takes one write a second for a key. */
const PUBLISH_RETRY_MS = 2_000;
/** Prices that free units are counted with may be so old. */
const PRICES_MS = 60_000;
const ALARM_PAUSE_MS = 1_000;
const LOST_ALARM_MS = 60_000;

/** The books of one account: what it is, its keys, its ledger, and first answers by Idempotency-Key. Its name is the account's id. */
export class AccountLedger extends DurableObject<Env> implements AccountBooks {
  readonly #registry: AccountRegistry;
  readonly #ledger: Ledger;
  readonly #answers: IdempotencyStore;
  readonly #upkeep: Upkeep;
  #prices: { readonly at: number; readonly prices: readonly Price[] } | undefined;
  /** The last of what runs one after the other: KV keeps what is written last. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#registry = new AccountRegistry(state.storage);
    this.#ledger = new Ledger(state.storage, Date.now);
    this.#answers = new IdempotencyStore(state.storage, Date.now);
    this.#upkeep = new Upkeep(state.storage.sql, this.#ledger, env.MODELS, Date.now);
  }

  async account(): Promise<AccountConfig | null> {
    return this.#registry.config() ?? null;
  }

  async replace(seen: AccountConfig | null, next: AccountConfig): Promise<boolean> {
    const isReplaced = this.ctx.storage.transactionSync(() => {
      if (!this.#registry.replace(seen, next)) return false;
      this.#ledger.setTerms(termsOf(next));
      return true;
    });
    if (isReplaced) await this.#show();
    return isReplaced;
  }

  async keys(): Promise<KeyRecord[]> {
    return this.#registry.keys().map(({ record }) => record);
  }

  async putKeys(
    seen: readonly KeyRecord[],
    change: { readonly added?: StoredKey; readonly changed?: KeyRecord },
  ): Promise<boolean> {
    const isPut = this.#registry.putKeys(seen, change);
    if (isPut) await this.#show();
    return isPut;
  }

  async enter(entry: ManualEntryRequest, dryRun: boolean): Promise<RpcResult<Entered>> {
    return answered(() => enterOnce(this.ctx.storage.sql, this.#ledger, entry, dryRun));
  }

  async standing(): Promise<Standing> {
    return this.#ledger.standing();
  }

  async usage(from: number, to: number): Promise<RpcResult<PeriodSum[]>> {
    return answered(() => this.#ledger.usage(from, to));
  }

  async event(id: string): Promise<BilledEvent | null> {
    return this.#ledger.event(id) ?? null;
  }

  async statement(from: number, to: number): Promise<RpcResult<Statement>> {
    return answered(() => this.#ledger.statement(from, to));
  }

  async verify(): Promise<Verification> {
    return this.#ledger.verify();
  }

  async outbox(limit: number): Promise<OutboxView> {
    return viewOutbox(this.ctx.storage.sql, this.#ledger.outbox, limit);
  }

  async replay(target: string | undefined, dryRun: boolean): Promise<number> {
    const { sql } = this.ctx.storage;
    const replayed = replayDead(sql, this.#ledger.outbox, { target, dryRun, now: Date.now() });
    await this.#seeToAlarm();
    return replayed;
  }

  async record(events: readonly LedgerEvent[], prices: readonly Price[]): Promise<Recorded> {
    if (this.#registry.config() === undefined) {
      const refused = events.map(({ id }) => ({ id, reason: "wrong_account" as const }));
      return { recorded: 0, duplicates: 0, refused };
    }
    const byId = new Map(prices.map((price) => [price.id, price]));
    const recorded = this.#ledger.record(events, (id) => byId.get(id));
    await this.#seeToAlarm();
    return recorded;
  }

  async repair(): Promise<void> {
    await this.#inTurn(() => markLost(this.#registry, this.#places));
    await this.#show();
  }

  async grant(request: LeaseRequest): Promise<LeaseAnswer> {
    // An error would look as if the ledger were out of reach, which some plans forgive.
    if (this.#registry.config() === undefined) {
      return { ok: false, code: "payment_required", available: 0, outstanding: 0 };
    }
    const answer = this.#ledger.grant(request);
    if (answer.ok || answer.code !== "payment_required") return answer;
    // Free units are worth something to who has no credit: only they need the prices.
    return this.#ledger.grant(request, await this.#pricesNow());
  }

  async giveBack(leaseId: string, unspent: number, isSettled?: boolean): Promise<void> {
    this.#ledger.returnLease(leaseId, unspent, isSettled);
  }

  async begin(hash: string, digest: string): Promise<Begun> {
    const begun = this.#answers.begin(hash, digest);
    if (begun.state === "new") await this.#seeToAlarm();
    return begun;
  }

  async finish(hash: string, token: string, answer?: Answer): Promise<void> {
    this.#answers.finish(hash, token, answer);
  }

  /** Each part by itself: one that fails must not keep the others from their turn. */
  override async alarm(): Promise<void> {
    this.#answers.forgetExpired();
    await this.#publish();
    const config = this.#registry.config();
    if (config !== undefined) {
      await this.#tried("exports_failed", () =>
        deliverDue(this.ctx.storage.sql, this.#ledger.outbox, {
          exports: config.exports,
          secretOf: (name) => exportSecret(this.env, name),
          fetch: (request) => fetch(request),
          now: () => Date.now(),
        }),
      );
      await this.#tried("upkeep_failed", () => this.#upkeep.run());
    }
    // What failed and is due still must not be tried without a pause.
    await this.#seeToAlarm(Date.now() + ALARM_PAUSE_MS);
  }

  /** None while the catalog can't be read: then credit alone counts. */
  async #pricesNow(): Promise<readonly Price[]> {
    const now = Date.now();
    if (this.#prices === undefined || now - this.#prices.at >= PRICES_MS) {
      try {
        const { source } = await readCatalogSource(this.env.MODELS);
        this.#prices = { at: now, prices: source.prices ?? [] };
      } catch (error) {
        consoleLog.error("prices_not_read", error, { account: this.ctx.id.name });
      }
    }
    return this.#prices?.prices ?? [];
  }

  get #places() {
    return { keys: this.env.KEYS, bucket: this.env.MODELS };
  }

  /** The change is made: a namespace that is busy must not make it look undone. */
  async #show(): Promise<void> {
    await this.#seeToAlarm();
    await this.#publish();
  }

  #publish(): Promise<void> {
    return this.#inTurn(() =>
      this.#tried("account_not_published", () => publishAccount(this.#registry, this.#places)),
    );
  }

  async #tried(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      consoleLog.error(what, error, { account: this.ctx.id.name });
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Sets the alarm to when there is something to do. */
  async #seeToAlarm(earliest: number = Date.now()): Promise<void> {
    const now = Date.now();
    const due = [
      this.#registry.unpublished().length > 0 ? now + PUBLISH_RETRY_MS : undefined,
      this.#registry.config() && this.#ledger.outbox.nextAt(),
      this.#registry.config() && this.#upkeep.nextAt(),
      this.#answers.nextAt(),
    ].filter((at) => at !== undefined);
    if (due.length === 0) return;
    const at = Math.max(earliest, Math.min(...due));
    const set = await this.ctx.storage.getAlarm();
    // One that is long past was lost, with a machine.
    const isLost = set !== null && set < now - LOST_ALARM_MS;
    if (set === null || at < set || isLost) await this.ctx.storage.setAlarm(at);
  }
}
