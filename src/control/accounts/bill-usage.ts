import * as v from "valibot";

import { AccountId } from "../../accounts/account.ts";
import type { LedgerEvent, RefusalReason } from "../../billing/ledger/event.ts";
import type { Price } from "../../billing/price.ts";
import type { UsageEvent } from "../../billing/usage-event.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import type { ControlContext } from "../context.ts";

/** `later`: another try may help. All else says why none would. */
export type Unbilled = ReadonlyMap<string, "later" | "no_account" | RefusalReason>;

/** The price may be in a catalog that is not read yet, the clock of the edge ahead. */
const PASSING: ReadonlySet<RefusalReason> = new Set<RefusalReason>(["unknown_price", "not_yet"]);

type Context = Pick<ControlContext, "booksOf" | "store" | "log">;

/**
 * Hands events that somebody pays for to the ledgers of their accounts, which record each once.
 *
 * @returns by id, the events that were not recorded
 */
export async function billUsage(
  events: readonly UsageEvent[],
  context: Context,
): Promise<Unbilled> {
  const { log } = context;
  const unbilled = new Map<string, "later" | "no_account" | RefusalReason>();
  const billable = events.flatMap((event) => {
    const ledgerEvent = ledgerEventOf(event);
    if (ledgerEvent === undefined) return [];
    if (v.is(AccountId, ledgerEvent.billing.account)) return [ledgerEvent];
    log.warn("usage_not_billable", { event: event.id, reason: "no_account" });
    unbilled.set(event.id, "no_account");
    return [];
  });
  if (billable.length === 0) return unbilled;
  const byAccount = Map.groupBy(billable, ({ billing }) => billing.account);
  let prices: readonly Price[];
  try {
    prices = (await readCatalogSource(context.store.bucket)).source.prices ?? [];
  } catch (error) {
    log.error("usage_not_billed", error, { events: billable.length });
    for (const { id } of billable) unbilled.set(id, "later");
    return unbilled;
  }
  await Promise.all(
    [...byAccount].map(async ([account, group]) => {
      const named = new Set(group.map(({ billing }) => billing.price));
      try {
        const { refused } = await context.booksOf(account).record(
          group,
          prices.filter(({ id }) => named.has(id)),
        );
        for (const { id, reason } of refused) {
          log.warn("usage_not_billable", { account, event: id, reason });
          unbilled.set(id, PASSING.has(reason) ? "later" : reason);
        }
      } catch (error) {
        log.error("usage_not_billed", error, { account, events: group.length });
        for (const { id } of group) unbilled.set(id, "later");
      }
    }),
  );
  return unbilled;
}

/** What the ledger records of an event; undefined when nobody pays for it. */
function ledgerEventOf(event: UsageEvent): LedgerEvent | undefined {
  if (event.kind !== "request" || event.billing === undefined) return undefined;
  const { id, at, requestId, model, version, placement, units, variant, billing } = event;
  return { id, at, requestId, model, version, placement, units, variant, billing };
}
