import type { Command } from "./command.ts";

/** Every command by its words. A module is loaded only when its command is. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  publish: async () => (await import("./publish.ts")).publish,
  models: async () => (await import("./models.ts")).models,
  "models show": async () => (await import("./models-show.ts")).modelsShow,
  verify: async () => (await import("./verify.ts")).verify,
  gc: async () => (await import("./gc.ts")).gc,
};
