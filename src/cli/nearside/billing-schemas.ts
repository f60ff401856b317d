import * as v from "valibot";

const Nano = v.pipe(v.number(), v.safeInteger());
const Texts = v.optional(v.array(v.string()));

/** Who pays, as far as the command line shows it. */
export const BilledAccount = v.looseObject({
  id: v.string(),
  name: v.string(),
  plan: v.string(),
  billing: v.string(),
  status: v.string(),
  limits: v.object({ dayNano: v.optional(Nano), monthNano: v.optional(Nano) }),
  models: Texts,
  grace: v.optional(v.object({ nano: Nano })),
  signers: v.optional(v.array(v.looseObject({ kid: v.string() }))),
  exports: v.optional(v.array(v.looseObject({ kind: v.string() }))),
});
export type BilledAccount = v.InferOutput<typeof BilledAccount>;

export const BilledAccounts = v.array(BilledAccount);

/** Where an account's ledger stands. */
export const Balance = v.looseObject({
  balance: Nano,
  outstanding: Nano,
  spentToday: Nano,
  spentThisMonth: Nano,
});
export type Balance = v.InferOutput<typeof Balance>;

/** A key without its secret. */
export const KeyEntry = v.looseObject({
  id: v.string(),
  name: v.string(),
  kind: v.string(),
  display: v.optional(v.string()),
  scopes: v.array(v.string()),
  models: Texts,
  origins: Texts,
  createdAt: v.number(),
  expiresAt: v.optional(v.number()),
  revokedAt: v.optional(v.number()),
  replacedBy: v.optional(v.string()),
  overlapUntil: v.optional(v.number()),
});
export type KeyEntry = v.InferOutput<typeof KeyEntry>;

export const KeyEntries = v.array(KeyEntry);

/** With its secret, this one time; without it when nothing was made (`--dry-run`). */
export const IssuedKey = v.looseObject({ ...KeyEntry.entries, key: v.optional(v.string()) });
export type IssuedKey = v.InferOutput<typeof IssuedKey>;

export const Entered = v.looseObject({ id: v.string(), entered: v.boolean(), balance: Nano });

const Counts = v.record(v.string(), v.number());

/** What was used; of what it is summed up by, the columns that were asked for. */
export const UsageRow = v.looseObject({
  day: v.optional(v.string()),
  model: v.optional(v.string()),
  version: v.optional(v.number()),
  key: v.optional(v.string()),
  placement: v.optional(v.string()),
  requests: v.number(),
  units: Counts,
  amount: Nano,
  allowance: Nano,
  volume: Nano,
  repeated: Nano,
});
export type UsageRow = v.InferOutput<typeof UsageRow>;

export const UsageReport = v.looseObject({ rows: v.array(UsageRow) });

/** One billed request. */
export const BilledEvent = v.looseObject({ id: v.string(), amount: Nano, receipt: v.string() });
export type BilledEvent = v.InferOutput<typeof BilledEvent>;

/** What an account used, paid and owes. */
export const AccountStatement = v.looseObject({
  account: v.string(),
  from: v.string(),
  to: v.string(),
  opening: Nano,
  usage: Nano,
  allowance: Nano,
  volume: Nano,
  repeat: Nano,
  credit: Nano,
  refund: Nano,
  adjustment: Nano,
  closing: Nano,
  recordedUpTo: v.optional(v.string()),
  provisionalUntil: v.optional(v.string()),
  isProvisional: v.optional(v.boolean()),
  lines: v.array(
    v.looseObject({
      model: v.string(),
      version: v.number(),
      key: v.string(),
      placement: v.string(),
      requests: v.number(),
      units: Counts,
      amount: Nano,
    }),
  ),
  entries: v.array(
    v.looseObject({ at: v.number(), kind: v.string(), amount: Nano, note: v.string() }),
  ),
});
export type AccountStatement = v.InferOutput<typeof AccountStatement>;
