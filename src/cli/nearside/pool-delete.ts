import type { Command } from "./command.ts";
import { Changed, Stored } from "./control-schemas.ts";
import { poolPath } from "./pool.ts";
import { changedText } from "./present.ts";

/** `nearside pool delete` */
export const poolDelete: Command = {
  summary: "remove an origin pool that no model goes to",
  usage: "pool delete <pool> [--dry-run]",
  options: { "dry-run": { type: "boolean" } },
  help: `Removes a pool. While a model goes there it stays: \`npx nearside origin <model> --delete\` ends that.

  --dry-run   show what would change, and change nothing

Examples:
  npx nearside pool delete gpu`,

  async run({ words: [pool = ""], options, control }) {
    const client = await control();
    const { etag } = await client.get(poolPath(pool), Stored);
    const changed = await client.change(poolPath(pool), Changed, {
      method: "DELETE",
      etag,
      dryRun: options["dry-run"] === true,
    });
    return { json: changed, text: changedText(changed) };
  },
};
