import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as v from "valibot";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import { Catalog, EMPTY_CATALOG } from "../../../catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../../catalog/reader.ts";
import type { PoolReport } from "../../../origin/pools.ts";
import { type SigningKeys, generateSigningKeys } from "../../../origin/signing-keys.ts";
import { ORIGIN, bundleWorker, bundledModules } from "../../bundle.ts";
import { freePort } from "../../free-ports.ts";
import { miniflareOptions } from "../../local-store.ts";
import { HOST } from "../../state-folder.ts";

/** Pools as an operator writes them, by their names. */
export type PoolsSource = NonNullable<v.InferInput<typeof Catalog>["pools"]>;

/** The origin Worker alone, as it would be deployed, on a socket of its own. */
export interface OriginStack {
  readonly url: string;
  readonly keys: SigningKeys;
  readonly miniflare: Miniflare;
  /** What its isolate knows of its pools. */
  report(): Promise<Readonly<Record<string, PoolReport>>>;
  stop(): Promise<void>;
}

/** @param poolsOf the pools, once the keys are known that their endpoints must trust */
export async function startOrigin(
  poolsOf: (keys: SigningKeys) => Promise<PoolsSource>,
): Promise<OriginStack> {
  await bundleWorker(ORIGIN);
  const keys = await generateSigningKeys();
  const pools = await poolsOf(keys);
  const port = await freePort(0);
  const { workerOptions } = unstable_getMiniflareWorkerOptions(ORIGIN.config);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...miniflareOptions(),
      workers: [
        {
          ...workerOptions,
          name: ORIGIN.name,
          bindings: { SIGNING_KEY: JSON.stringify(keys.privateKey), REPORT_POOLS: "true" },
          modulesRoot: ORIGIN.folder,
          modules: await bundledModules(ORIGIN.folder),
          unsafeDirectSockets: [{ host: HOST, port }],
        },
      ],
    }),
  );
  await miniflare.ready;
  const namespace = await miniflare.getKVNamespace("CATALOG", ORIGIN.name);
  const catalog = v.parse(Catalog, { ...EMPTY_CATALOG, pools });
  await namespace.put(CATALOG_KV_KEY, JSON.stringify(catalog));
  const url = `http://${HOST}:${port}`;
  return {
    url,
    keys,
    miniflare,
    report: async () => {
      const response = await fetch(`${url}/pools`);
      return ((await response.json()) as { pools: Record<string, PoolReport> }).pools;
    },
    stop: () => miniflare.dispose(),
  };
}
