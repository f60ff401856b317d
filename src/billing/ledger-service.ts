import type { Answer, Begun } from "./idempotency.ts";
import type { LeaseAnswer, LeaseRequest } from "./ledger/leases.ts";
import type { RpcResult } from "../rollout/view.ts";

export const USAGE_DIMENSIONS = ["model", "version", "key", "day"] as const;
export type UsageDimension = (typeof USAGE_DIMENSIONS)[number];

/** What a caller wants to know of their usage. */
export interface UsageQuery {
  /** Milliseconds since the epoch: full hours of UTC. */
  readonly from: number;
  readonly to: number;
  readonly by: readonly UsageDimension[];
}

/** The ledgers of all accounts, as the edge calls them: the control Worker's entrypoint `Ledgers`. */
export interface LedgerService {
  grant(account: string, request: LeaseRequest): Promise<LeaseAnswer>;
  /**
   * A lease won't be spent from any more.
   *
   * @param isSettled whether none of its requests is running: all that is not unspent was spent
   */
  giveBack(account: string, leaseId: string, unspent: number, isSettled?: boolean): Promise<void>;
  /** @param key digest of the Idempotency-Key and whose it is */
  begin(account: string, key: string, bodyDigest: string): Promise<Begun>;
  /**
   * @param token that `begin` gave with `new`: whoever has another one is not heard any more
   * @param answer absent when the request failed, and may be tried again
   */
  finish(account: string, key: string, token: string, answer?: Answer): Promise<void>;
  /** JSON for whoever asked, or why not: an error that is thrown means that the ledger is out of reach. */
  usage(account: string, query: UsageQuery): Promise<RpcResult<unknown>>;
}
