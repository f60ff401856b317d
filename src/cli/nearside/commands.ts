import type { Command } from "./command.ts";

const acts = () => import("./rollout-act.ts");

/** Every command by its words. A module is loaded only when its command is. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  publish: async () => (await import("./publish.ts")).publish,
  models: async () => (await import("./models.ts")).models,
  "models show": async () => (await import("./models-show.ts")).modelsShow,
  verify: async () => (await import("./verify.ts")).verify,
  gc: async () => (await import("./gc.ts")).gc,
  label: async () => (await import("./label.ts")).label,
  "flag get": async () => (await import("./flag-get.ts")).flagGet,
  "flag set": async () => (await import("./flag-set.ts")).flagSet,
  "flag test": async () => (await import("./flag-test.ts")).flagTest,
  switch: async () => (await import("./switch.ts")).killSwitch,
  "pool list": async () => (await import("./pool-list.ts")).poolList,
  "pool set": async () => (await import("./pool-set.ts")).poolSet,
  "pool delete": async () => (await import("./pool-delete.ts")).poolDelete,
  origin: async () => (await import("./origin.ts")).origin,
  "rollout start": async () => (await import("./rollout-start.ts")).rolloutStart,
  "rollout status": async () => (await import("./rollout-status.ts")).rolloutStatus,
  "rollout pause": async () => (await acts()).rolloutPause,
  "rollout resume": async () => (await acts()).rolloutResume,
  "rollout promote": async () => (await acts()).rolloutPromote,
  "rollout abort": async () => (await acts()).rolloutAbort,
  "catalog history": async () => (await import("./catalog-history.ts")).catalogHistory,
  "catalog diff": async () => (await import("./catalog-diff.ts")).catalogDiff,
  "catalog rollback": async () => (await import("./catalog-rollback.ts")).catalogRollback,
  audit: async () => (await import("./audit.ts")).audit,
};
