import { WorkerEntrypoint } from "cloudflare:workers";

import * as v from "valibot";

import { AccountId } from "../../src/accounts/account.ts";
import type { Answer, Begun } from "../../src/billing/idempotency.ts";
import type { LeaseAnswer, LeaseRequest } from "../../src/billing/ledger/leases.ts";
import type { LedgerService, UsageQuery } from "../../src/billing/ledger-service.ts";
import { type UsageRows, usageRows } from "../../src/billing/usage-report.ts";
import type { RpcResult } from "../../src/rollout/view.ts";
import type { AccountLedger } from "./account-ledger.ts";
import type { Env } from "./env.ts";

/** What the edge asks of accounts' ledgers, by a service binding: nobody else can call it. */
export class Ledgers extends WorkerEntrypoint<Env> implements LedgerService {
  grant(account: string, request: LeaseRequest): Promise<LeaseAnswer> {
    return this.#of(account).grant(request);
  }

  /** What an isolate won't spend of a lease. */
  giveBack(account: string, leaseId: string, unspent: number, isSettled?: boolean): Promise<void> {
    return this.#of(account).giveBack(leaseId, unspent, isSettled);
  }

  /** @param hash of the Idempotency-Key and the id of the caller's key */
  async begin(account: string, hash: string, bodyDigest: string): Promise<Begun> {
    return this.#of(account).begin(hash, bodyDigest);
  }

  /** Without an answer the request failed, and is forgotten. */
  finish(account: string, hash: string, token: string, answer?: Answer): Promise<void> {
    return this.#of(account).finish(hash, token, answer);
  }

  /** A refusal is an answer: what is thrown over RPC looks as if the ledger were out of reach. */
  async usage(account: string, { from, to, by }: UsageQuery): Promise<RpcResult<UsageRows>> {
    const sums = await this.#of(account).usage(from, to);
    return sums.ok ? { ok: true, value: usageRows(sums.value, by, { from, to }) } : sums;
  }

  #of(account: string): DurableObjectStub<AccountLedger> {
    return this.env.ACCOUNT_LEDGERS.getByName(v.parse(AccountId, account));
  }
}
