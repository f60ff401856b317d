import path from "node:path";

import {
  Log,
  LogLevel,
  Miniflare,
  type V4WorkerOptions,
  convertV4MiniflareOptions,
} from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import type { PublishTarget } from "../publish/bucket.ts";
import { ROOT } from "../publish/workspace.ts";
import { HOST } from "./state-folder.ts";

export const EDGE_CONFIG = path.join(ROOT, "wrangler.toml");

/** The standard output belongs to the command, and may be JSON; Miniflare would warn there. */
class ErrorStreamLog extends Log {
  protected override log(message: string): void {
    console.error(message);
  }
}

/** What every Miniflare of this repository is started with. */
export function miniflareOptions(stateFolder?: string) {
  return {
    host: HOST,
    port: 0,
    cf: false,
    log: new ErrorStreamLog(LogLevel.WARN),
    telemetry: { enabled: false },
    ...(stateFolder === undefined ? {} : { resourcePersistencePath: stateFolder }),
  };
}

/** The bucket and the namespace that a Worker in Miniflare is bound to. */
export async function storeOf(miniflare: Miniflare, worker: string): Promise<PublishTarget> {
  const bucket = await miniflare.getR2Bucket("MODELS", worker);
  const namespace = await miniflare.getKVNamespace("CATALOG", worker);
  return {
    bucket: bucket as unknown as PublishTarget["bucket"],
    namespace: namespace as unknown as PublishTarget["namespace"],
  };
}

export interface LocalStore extends PublishTarget {
  stop(): Promise<void>;
}

type Stores = Pick<V4WorkerOptions, "r2Buckets" | "kvNamespaces">;

/** Opens the bucket and namespace of a state folder without the Workers around them. */
export async function openLocalStore(stateFolder: string): Promise<LocalStore> {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(EDGE_CONFIG);
  const { r2Buckets = {}, kvNamespaces = {} } = workerOptions as Stores;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...miniflareOptions(stateFolder),
      workers: [
        {
          name: "store",
          modules: true,
          script: "export default {};",
          r2Buckets,
          kvNamespaces,
        },
      ],
    }),
  );
  try {
    return { ...(await storeOf(miniflare, "store")), stop: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
