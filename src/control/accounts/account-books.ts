import type { KeyRecord } from "../../accounts/key-record.ts";
import type { Standing } from "../../billing/ledger.ts";
import type { BilledEvent } from "../../billing/ledger/billed-event.ts";
import type { LedgerEvent, Recorded } from "../../billing/ledger/event.ts";
import type { Statement } from "../../billing/ledger/statement-of.ts";
import type { PeriodSum } from "../../billing/ledger/sums.ts";
import type { Verification } from "../../billing/ledger/verify.ts";
import type { DeadLetter } from "../../billing/outbox.ts";
import type { Price } from "../../billing/price.ts";
import type { RpcResult } from "../../rollout/view.ts";
import type { AccountConfig } from "./account-config.ts";
import type { StoredKey } from "./registry.ts";

export interface ManualEntryRequest {
  readonly kind: "credit" | "refund" | "adjustment";
  /** Makes the entry once. */
  readonly id: string;
  readonly amountNano: number;
  readonly note: string;
  /** Above a million dollars it is meant. */
  readonly force?: boolean | undefined;
}

export interface Entered {
  readonly id: string;
  /** False when it had been entered before. */
  readonly entered: boolean;
  readonly balance: number;
}

export interface OutboxView {
  readonly waiting: number;
  /** The oldest. */
  readonly dead: readonly Pick<DeadLetter, "target" | "attempts" | "error" | "event">[];
}

/** What the API and the queue ask of an account's Durable Object. */
export interface AccountBooks {
  /** Null when there is no such account. */
  account(): Promise<AccountConfig | null>;
  /** @returns false when the account is not what the caller saw */
  replace(seen: AccountConfig | null, next: AccountConfig): Promise<boolean>;
  /** Oldest first. */
  keys(): Promise<KeyRecord[]>;
  /** @returns false when the keys are not what the caller saw */
  putKeys(
    seen: readonly KeyRecord[],
    change: { readonly added?: StoredKey; readonly changed?: KeyRecord },
  ): Promise<boolean>;
  enter(entry: ManualEntryRequest, dryRun: boolean): Promise<RpcResult<Entered>>;
  standing(): Promise<Standing>;
  usage(from: number, to: number): Promise<RpcResult<PeriodSum[]>>;
  /** Null when the ledger has no such event, or none any more. */
  event(id: string): Promise<BilledEvent | null>;
  statement(from: number, to: number): Promise<RpcResult<Statement>>;
  verify(): Promise<Verification>;
  outbox(limit: number): Promise<OutboxView>;
  /** @returns how many dead letters are tried again, of one export or of all */
  replay(target: string | undefined, dryRun: boolean): Promise<number>;
  /** Records events, each once. @param prices those that the events name */
  record(events: readonly LedgerEvent[], prices: readonly Price[]): Promise<Recorded>;
  /** Shows the edge again what it has lost of the account and its keys. */
  repair(): Promise<void>;
}
