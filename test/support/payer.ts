import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { exportJWK, generateKeyPair } from "jose";
import * as v from "valibot";

import { Account, accountKey, newId } from "../../src/accounts/account.ts";
import { type ClientTokenOptions, mintClientToken } from "../../src/accounts/client-token.ts";
import { hashKey } from "../../src/accounts/key.ts";
import {
  type KeyOptions,
  type KeyRecord,
  issueKey,
  keyRecordKey,
} from "../../src/accounts/key-record.ts";
import { IdempotencyStore } from "../../src/billing/idempotency.ts";
import { Ledger } from "../../src/billing/ledger.ts";
import type { LedgerService } from "../../src/billing/ledger-service.ts";
import type { Env } from "../../workers/edge/env.ts";
import { termsOf } from "../billing/support.ts";

/** An account with a ledger of its own, the directory that knows it, and what an edge needs of both. */
export async function payerOf(change: Partial<Account> = {}) {
  const signer = await generateKeyPair("EdDSA", { extractable: true });
  const account = v.parse(Account, {
    id: newId("acc_"),
    name: "Acme",
    plan: "free",
    currency: "USD",
    billing: "prepaid",
    limits: {},
    status: "active",
    signers: [{ kid: "ed", jwk: await exportJWK(signer.publicKey) }],
    ...change,
  });
  const values = new Map([[accountKey(account.id), JSON.stringify(account)]]);
  const object = env.AUDIT_LOG.get(env.AUDIT_LOG.newUniqueId());
  const books = <T>(work: (ledger: Ledger, kept: IdempotencyStore) => T): Promise<T> =>
    runInDurableObject(object, (_, { storage }) =>
      work(new Ledger(storage, () => Date.now()), new IdempotencyStore(storage, () => Date.now())),
    );
  await books((ledger) => ledger.setTerms(termsOf({ account: account.id })));
  const state = { isDown: false };
  const reached = async <T>(id: string, work: Parameters<typeof books<T>>[0]): Promise<T> => {
    if (state.isDown) throw new Error("Network connection lost.");
    if (id !== account.id) throw new Error(`There is no ledger of ${id}.`);
    return books(work);
  };
  const ledgers: LedgerService = {
    grant: (id, request) => reached(id, (ledger) => ledger.grant(request)),
    giveBack: (id, ...lease) => reached(id, (ledger) => ledger.returnLease(...lease)),
    begin: (id, key, digest) => reached(id, (_, kept) => kept.begin(key, digest)),
    finish: (id, key, token, answer) => reached(id, (_, kept) => kept.finish(key, token, answer)),
    usage: (id, query) => reached(id, () => ({ ok: true, value: { account: id, ...query } })),
  };
  const bindings: Partial<Env> = {
    ANONYMOUS: "refused",
    KEYS: { get: async (key: string) => values.get(key) ?? null } as unknown as KVNamespace,
    LEDGERS: ledgers,
  };
  const put = async (key: string, record: KeyRecord): Promise<void> => {
    values.set(keyRecordKey(await hashKey(key)), JSON.stringify(record));
  };
  return {
    account,
    bindings,
    books,
    state,
    put,
    credit: (amount: number) =>
      books((ledger) =>
        ledger.enter("credit", { id: crypto.randomUUID(), amount, note: "by card" }),
      ),
    async issue(options: Partial<KeyOptions> = {}, record: Partial<KeyRecord> = {}) {
      const issued = await issueKey(
        { account: account.id, name: "server", kind: "live", scopes: ["predict"], ...options },
        Date.now(),
      );
      await put(issued.key, { ...issued.record, ...record });
      return issued;
    },
    mint: (
      options: Pick<ClientTokenOptions, "spendNano" | "lifeSeconds" | "user" | "tokenId">,
    ): Promise<string> =>
      mintClientToken({
        account: account.id,
        kid: "ed",
        key: signer.privateKey,
        scopes: ["predict"],
        now: Date.now(),
        ...options,
      }),
  };
}

export type TestPayer = Awaited<ReturnType<typeof payerOf>>;
