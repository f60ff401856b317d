import type { Command } from "./command.ts";
import { CatalogNumber, Changed } from "./control-schemas.ts";
import { wholeWord } from "./parse.ts";
import { changedText } from "./present.ts";

/** `nearside catalog rollback` */
export const catalogRollback: Command = {
  summary: "make labels, flags, routes and pools what they were in an earlier catalog",
  usage: "catalog rollback <number> [--dry-run]",
  options: { "dry-run": { type: "boolean" } },
  help: `Makes a new catalog with the labels, flags, routes and pools of an earlier one. Versions that were published
since stay published, and switches stay as they are: whoever threw one had a reason. It is refused while a rollout runs that it would change. \`nearside catalog history\` lists the
numbers.

  --dry-run   show what would change, and change nothing

Examples:
  npx nearside catalog rollback 41 --dry-run
  npx nearside catalog rollback 41`,

  async run({ words: [word = ""], options, control }) {
    const to = wholeWord("<number>", word, 1);
    const client = await control();
    const { etag } = await client.get("/v1/catalog", CatalogNumber);
    const changed = await client.change("/v1/catalog/rollback", Changed, {
      method: "POST",
      body: { to },
      etag,
      dryRun: options["dry-run"] === true,
    });
    return { json: changed, text: changedText(changed) };
  },
};
