import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";

import { Ledger } from "../../../../src/billing/ledger.ts";
import type { LedgerStorage } from "../../../../src/billing/ledger-schema.ts";
import type { Terms } from "../../../../src/billing/ledger/terms.ts";
import { NOON, termsOf } from "../../../billing/support.ts";

export interface Books {
  readonly ledger: Ledger;
  readonly storage: LedgerStorage;
  readonly clock: { now: number };
  /** The same account's ledger after a restart. */
  reopen(storage?: LedgerStorage): Ledger;
}

/** Runs in a Durable Object of its own, with the ledger of an account that has just been opened. */
export function withBooks<T>(
  work: (books: Books) => T | Promise<T>,
  terms: Partial<Terms> = {},
): Promise<T> {
  const object = env.AUDIT_LOG.get(env.AUDIT_LOG.newUniqueId());
  return runInDurableObject(object, (_, { storage }) => {
    const clock = { now: NOON };
    let leases = 0;
    const reopen = (over: LedgerStorage = storage) =>
      new Ledger(
        over,
        () => clock.now,
        () => `lease-${++leases}`,
      );
    const ledger = reopen();
    ledger.setTerms(termsOf(terms));
    return work({ ledger, storage, clock, reopen });
  });
}
