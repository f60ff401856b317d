import * as v from "valibot";

/** What the control plane answers, as far as the command line shows it; the rest goes through to `--json`. */
export const Changed = v.looseObject({
  catalog: v.optional(v.number()),
  changes: v.optional(
    v.array(
      v.looseObject({
        field: v.string(),
        before: v.optional(v.unknown()),
        after: v.optional(v.unknown()),
      }),
    ),
    [],
  ),
  dryRun: v.optional(v.boolean()),
});
export type Changed = v.InferOutput<typeof Changed>;

export const Labelled = v.looseObject({ version: v.number() });

export const Switches = v.looseObject({
  off: v.optional(v.boolean(), false),
  offVersions: v.optional(v.array(v.number()), []),
});

/** Whatever is there: only its ETag counts. */
export const Stored = v.looseObject({});

export const Pools = v.array(
  v.looseObject({
    name: v.string(),
    protocol: v.string(),
    endpoints: v.array(v.looseObject({ url: v.string() })),
    models: v.array(v.string()),
  }),
);

/** A model's route to an origin pool. */
export const Routed = v.looseObject({
  pool: v.string(),
  model: v.optional(v.string()),
  limits: v.optional(v.unknown()),
});

export const ControlledModel = v.looseObject({
  name: v.string(),
  versions: v.array(v.looseObject({ version: v.number(), labels: v.array(v.string()) })),
});

/** Percent of targeting keys, by variant. */
export const Shares = v.record(
  v.string(),
  v.looseObject({ version: v.nullish(v.number()), percent: v.number() }),
);
export type Shares = v.InferOutput<typeof Shares>;

/** What a change of a flag does to traffic. */
export const FlagChanged = v.looseObject({
  ...Changed.entries,
  traffic: v.optional(v.looseObject({ before: Shares, after: Shares })),
});

export const StoredFlag = v.looseObject({});

export const FlagTested = v.looseObject({
  choice: v.optional(
    v.looseObject({
      version: v.nullish(v.number()),
      variant: v.nullish(v.string()),
      reason: v.string(),
    }),
  ),
  shares: Shares,
});

export const HistoryPage = v.array(
  v.looseObject({
    number: v.number(),
    at: v.optional(v.string()),
    by: v.optional(v.string()),
    change: v.optional(v.string()),
  }),
);

export const Diff = v.looseObject({ changes: Changed.entries.changes });

export const CatalogNumber = v.looseObject({ number: v.number() });

export const AuditPage = v.array(
  v.looseObject({
    seq: v.number(),
    at: v.string(),
    actor: v.string(),
    action: v.string(),
    target: v.string(),
    before: v.optional(v.unknown()),
    after: v.optional(v.unknown()),
    catalog: v.nullish(v.number()),
  }),
);

export const Rollout = v.looseObject({
  model: v.string(),
  status: v.picklist(["running", "paused", "promoted", "rolled_back", "aborted", "superseded"]),
  plan: v.looseObject({ version: v.number(), steps: v.array(v.number()) }),
  baseline: v.number(),
  step: v.number(),
  share: v.number(),
  stepStartedAt: v.string(),
  startedAt: v.string(),
  startedBy: v.string(),
  endedAt: v.optional(v.string()),
  endedBy: v.optional(v.string()),
  reason: v.optional(v.string()),
  findings: v.array(
    v.looseObject({ guard: v.string(), broken: v.boolean(), sentence: v.string() }),
  ),
  waitingFor: v.optional(v.string()),
  stats: v.looseObject({
    step: v.looseObject({
      baseline: v.looseObject({ requests: v.number() }),
      candidate: v.looseObject({ requests: v.number() }),
    }),
  }),
});
export type Rollout = v.InferOutput<typeof Rollout>;
