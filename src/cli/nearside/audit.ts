import type { Command } from "./command.ts";
import { AuditPage } from "./control-schemas.ts";
import { wholeNumber } from "./parse.ts";
import { when } from "./present.ts";
import { table } from "./table.ts";

const LIMIT = 20;

/** `nearside audit` */
export const audit: Command = {
  summary: "list who changed what, people and rollouts alike",
  usage: "audit [--model <model>] [--limit <n>]",
  options: { model: { type: "string" }, limit: { type: "string" } },
  help: `Lists what was changed, by whom, and from what to what; the newest come first. Steps that rollouts take by
themselves are in it with the numbers that decided, which --json shows in full.

  --model <model>   only what concerns this model
  --limit <n>       instead of ${LIMIT}

Examples:
  npx nearside audit
  npx nearside audit --model minilm --json | jq '.[0].details'`,

  async run({ options, control }) {
    const { limit, model } = options;
    const query = {
      limit: typeof limit === "string" ? wholeNumber("limit", limit, 1) : LIMIT,
      ...(typeof model === "string" && { model }),
    };
    const client = await control();
    const { value } = await client.get("/v1/audit", AuditPage, { query });
    const rows = value.map(({ at, actor, action, target, catalog }) => [
      when(at),
      actor,
      action,
      target,
      typeof catalog === "number" ? `catalog ${catalog}` : "",
    ]);
    return {
      json: value,
      text:
        rows.length === 0
          ? "Nothing was changed yet."
          : table([["when", "who", "what", "where", "made"], ...rows]),
    };
  },
};
