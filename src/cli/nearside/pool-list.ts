import type { Command } from "./command.ts";
import { Pools } from "./control-schemas.ts";
import { table } from "./table.ts";

/** `nearside pool list` */
export const poolList: Command = {
  summary: "list the origin pools: protocols, servers, and the models that go there",
  usage: "pool list",
  options: {},
  help: `Lists the origin pools. What the edge does not answer for a model, it forwards to the pool that the model's
route names (\`nearside origin\`).

Examples:
  npx nearside pool list
  npx nearside pool list --json`,

  async run({ control }) {
    const client = await control();
    const { value } = await client.get("/v1/pools", Pools);
    const rows = value.map(({ name, protocol, endpoints, models }) => [
      name,
      protocol,
      endpoints.map(({ url }) => url).join(" "),
      models.join(", ") || "-",
    ]);
    const text =
      rows.length === 0
        ? "There is no pool. `npx nearside pool set --help` shows how one is made."
        : table([["pool", "protocol", "servers", "models"], ...rows]);
    return { json: value, text };
  },
};
