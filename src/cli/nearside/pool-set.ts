import type { Command } from "./command.ts";
import { Changed, Stored } from "./control-schemas.ts";
import { readDocument } from "./document.ts";
import { poolPath } from "./pool.ts";
import { changedText } from "./present.ts";

/** `nearside pool set` */
export const poolSet: Command = {
  summary: "write an origin pool from a file",
  usage: "pool set <pool> <file|-> [--dry-run]",
  options: { "dry-run": { type: "boolean" } },
  help: `Writes a pool of servers that are as good as each other, from a file or, with -, from the standard input. Its
protocol is "open-inference" (Triton, KServe, MLServer) or "openai" (vLLM, TGI). A server on a private
address needs "allowPrivate": true; secrets have no place in a pool: an endpoint's "secretRef" names one of the origin Worker.

  --dry-run   show what would change, and change nothing

A pool:
  {"protocol": "openai",
   "endpoints": [{"url": "https://gpu-1.example.com/v1"}, {"url": "https://gpu-2.example.com/v1", "weight": 2}],
   "timeoutMs": 30000}

Examples:
  npx nearside pool set gpu pool.json --dry-run
  echo '{"protocol":"open-inference","endpoints":[{"url":"https://triton.example.com"}]}' | npx nearside pool set gpu -`,

  async run({ words: [pool = "", file = "-"], options, control, input }) {
    const body = await readDocument(file, input, {
      noun: "pool",
      form: '{"protocol": "openai", "endpoints": [{"url": "https://…"}], …}',
    });
    const client = await control();
    const found = await client.find(poolPath(pool), Stored, "origin_pool_not_found");
    const changed = await client.change(poolPath(pool), Changed, {
      method: "PUT",
      body,
      etag: found?.etag,
      dryRun: options["dry-run"] === true,
    });
    return { json: changed, text: changedText(changed) };
  },
};
