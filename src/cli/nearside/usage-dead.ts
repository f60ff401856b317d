import * as v from "valibot";

import type { Command } from "./command.ts";
import { when } from "./present.ts";
import { table } from "./table.ts";

const PATH = "/v1/usage/dead";

const Dead = v.looseObject({
  dead: v.array(
    v.looseObject({ id: v.string(), at: v.string(), reason: v.string(), body: v.unknown() }),
  ),
  isWhole: v.boolean(),
});

const Replayed = v.looseObject({
  replayed: v.number(),
  left: v.array(v.looseObject({ id: v.string(), reason: v.string() })),
  isWhole: v.boolean(),
});

const Named = v.object({
  model: v.optional(v.string(), "-"),
  billing: v.optional(v.object({ account: v.optional(v.string(), "-") }), {}),
});

/** `nearside usage dead list` */
export const usageDeadList: Command = {
  summary: "show usage that could not be counted, and why",
  usage: "usage dead list [--day <day>]",
  options: { day: { type: "string" } },
  help: `Shows usage of requests that could not be counted or billed: what is malformed, of an account that is not
there, at another amount than its price says, or tried for a day in vain. It stays in the bucket until it is replayed.

  --day <day>   what was put aside on this day of UTC, such as 2026-11-24; the oldest of all when absent

Examples:
  npx nearside usage dead list
  npx nearside usage dead list --day 2026-11-24 --json`,

  async run({ options: { day }, control }) {
    const query = { day: typeof day === "string" ? day : undefined };
    const { value } = await (await control()).get(PATH, Dead, { query });
    if (value.dead.length === 0) return { json: value, text: "There is none." };
    const rows = value.dead.map(({ id, at, reason, body }) => {
      const named = v.safeParse(Named, body);
      const { model, billing } = named.success ? named.output : { model: "-", billing: {} };
      return [when(at), reason, billing.account ?? "-", model, id];
    });
    const text = table([["put aside", "why", "account", "model", "message"], ...rows]);
    return { json: value, text: value.isWhole ? text : `${text}\n… and more` };
  },
};

/** `nearside usage dead replay` */
export const usageDeadReplay: Command = {
  summary: "count usage again that could not be counted",
  usage: "usage dead replay [--day <day>] [--dry-run]",
  options: { day: { type: "string" }, "dry-run": { type: "boolean" } },
  help: `Counts usage again that could not be counted, once its cause is mended. What is counted leaves the bucket; an
event that was billed before is not billed again.

  --day <day>   what was put aside on this day of UTC; the oldest of all when absent
  --dry-run     tell how much there is, and do nothing

Examples:
  npx nearside usage dead replay --dry-run
  npx nearside usage dead replay --day 2026-11-24`,

  async run({ options, control }) {
    const { day } = options;
    const value = await (
      await control()
    ).change(`${PATH}/replay`, Replayed, {
      method: "POST",
      etag: "*",
      body: typeof day === "string" ? { day } : {},
      dryRun: options["dry-run"] === true,
    });
    const done = options["dry-run"] ? "Would be counted again" : "Counted";
    const text = [
      `${done}: ${value.replayed}${value.isWhole ? "" : "; there is more, say it again"}.`,
      ...value.left.map(({ id, reason }) => `${id} still can't be: ${reason}.`),
    ].join("\n");
    return { json: value, text, exitCode: value.left.length === 0 ? 0 : 1 };
  },
};
