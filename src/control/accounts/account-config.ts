import * as v from "valibot";

import { Account, AccountId } from "../../accounts/account.ts";
import { Export, exportName } from "../../billing/export-config.ts";
import type { Terms } from "../../billing/ledger/terms.ts";

const MAX_EXPORTS = 8;

const { id: _, ...REST } = Account.entries;

const SETTINGS = {
  ...REST,
  currency: v.optional(REST.currency, "USD"),
  limits: v.optional(REST.limits, {}),
  status: v.optional(REST.status, "active"),
  /** Where its events go besides. */
  exports: v.optional(
    v.pipe(
      v.array(Export),
      v.maxLength(MAX_EXPORTS),
      v.check(
        (exports) => new Set(exports.map(exportName)).size === exports.length,
        "two exports are the same",
      ),
    ),
    [],
  ),
};

/** An account, as operators set it. With an id of the caller's own, making it twice makes one. */
export const AccountBody = v.strictObject({ ...SETTINGS, id: v.exactOptional(AccountId) });
export type AccountBody = v.InferOutput<typeof AccountBody>;

/** What the ledger keeps of an account: what the edge reads, and where events go besides. */
export const AccountConfig = v.strictObject({ ...SETTINGS, id: AccountId });
export type AccountConfig = v.InferOutput<typeof AccountConfig>;

/** What the edge reads of it. */
export function edgeAccount({ exports: _exports, ...account }: AccountConfig): Account {
  return account;
}

export function termsOf({ id, billing, limits, status, exports }: AccountConfig): Terms {
  const { dayNano, monthNano } = limits;
  return {
    account: id,
    funding: billing,
    limits: {
      ...(dayNano !== undefined && { day: dayNano }),
      ...(monthNano !== undefined && { month: monthNano }),
    },
    suspended: status === "suspended",
    exports: exports.map(exportName),
  };
}
