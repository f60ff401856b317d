import type { Command } from "./command.ts";
import { Changed, Routed } from "./control-schemas.ts";
import { changedText } from "./present.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside origin` */
export const origin: Command = {
  summary: "show or set the origin pool that a model's requests go to",
  usage: "origin <model> [--pool <pool>] [--name <name>] [--delete] [--dry-run]",
  options: {
    pool: { type: "string" },
    name: { type: "string" },
    delete: { type: "boolean" },
    "dry-run": { type: "boolean" },
  },
  help: `What the edge does not answer for a model (too large, too slow, no edge build, or asked for by the header
Nearside-Placement: origin) goes to the pool of its route. Without an option the route is shown.

  --pool <pool>   send it there
  --name <name>   what the model is called there, where that is another name
  --delete        remove the route: only the edge answers
  --dry-run       show what would change, and change nothing

Examples:
  npx nearside origin minilm
  npx nearside origin minilm --pool gpu --name all-MiniLM-L6-v2
  npx nearside origin minilm --delete`,

  async run({ words: [model = ""], options, control }) {
    const { pool, name } = options;
    const removes = options["delete"] === true;
    const dryRun = options["dry-run"] === true;
    const sets = typeof pool === "string";
    if (removes && sets) throw new UsageError("--delete goes without --pool.");
    if (name !== undefined && !sets) throw new UsageError("--name goes with --pool.");
    if (dryRun && !removes && !sets)
      throw new UsageError("--dry-run goes with --pool or --delete.");
    const client = await control();
    const path = `/v1/models/${encodeURIComponent(model)}/origin`;
    if (!sets) {
      const { value, etag } = await client.get(path, Routed, { model });
      if (!removes) return { json: value, text: sentenceOf(model, value) };
      const changed = await client.change(path, Changed, { method: "DELETE", etag, dryRun, model });
      return { json: changed, text: changedText(changed) };
    }
    const found = await client.find(path, Routed, "origin_route_not_found", model);
    const { limits } = found?.value ?? {};
    const body = {
      pool,
      ...(name !== undefined && { model: name }),
      ...(limits !== undefined && { limits }),
    };
    const request = { method: "PUT", body, etag: found?.etag, dryRun, model } as const;
    const changed = await client.change(path, Changed, request);
    return { json: changed, text: changedText(changed) };
  },
};

function sentenceOf(model: string, { pool, model: name }: { pool: string; model?: unknown }) {
  const called = typeof name === "string" ? `, as ${name}` : "";
  return `${model} goes to the pool ${pool}${called}`;
}
