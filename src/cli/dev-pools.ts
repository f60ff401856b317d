import * as v from "valibot";

import { type CatalogSource, OriginRoute } from "../catalog/catalog.ts";
import { changeCatalog } from "../catalog/changes.ts";
import { OriginPool } from "../origin/pool.ts";
import type { PublishTarget } from "../publish/bucket.ts";

/** Pools of the development origin, by protocol. */
export const DEV_POOLS = { "open-inference": "dev", openai: "dev-openai" } as const;

/** Where the models that ship go, as long as nobody says otherwise. */
const DEV_ROUTES: Readonly<Record<string, v.InferInput<typeof OriginRoute>>> = {
  minilm: { pool: DEV_POOLS["open-inference"], versioned: true },
  scribe: { pool: DEV_POOLS.openai },
};

/** Lets the catalog's development pools be where the development origin is, and routes models there that have no route. */
export async function publishDevPools(target: PublishTarget, originUrl: string): Promise<void> {
  const change = `the development origin is at ${originUrl}`;
  await changeCatalog(target, { by: "npm start", change, now: Date.now() }, (source) =>
    withDevPools(source, originUrl),
  );
}

/** What an operator has set of the pools beside their endpoints stays. */
export function withDevPools(source: CatalogSource, originUrl: string): CatalogSource {
  const pools = { ...source.pools };
  for (const [protocol, name] of Object.entries(DEV_POOLS)) {
    pools[name] = v.parse(OriginPool, {
      ...pools[name],
      protocol,
      endpoints: [{ url: originUrl }],
      allowPrivate: true,
    });
  }
  const models = { ...source.models };
  for (const [name, route] of Object.entries(DEV_ROUTES)) {
    const model = models[name];
    if (model === undefined || model.origin !== undefined) continue;
    models[name] = { ...model, origin: v.parse(OriginRoute, route) };
  }
  return { ...source, models, pools };
}
