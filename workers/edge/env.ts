import type { UsageEvent } from "../../src/billing/usage-event.ts";

/** Bindings of the edge Worker, as wrangler.toml declares them. */
export interface Env {
  readonly MODELS: R2Bucket;
  readonly CATALOG: KVNamespace;
  /** Where usage events go; without it nothing is metered, and shadows don't run. */
  readonly USAGE?: Queue<UsageEvent>;
  /** Cloudflare's Flagship, instead of flagd's rules in the catalog. */
  readonly FLAGS?: Flagship;
  /** The origin Worker: what needs a GPU goes there; without it the edge answers alone. */
  readonly ORIGIN?: Fetcher;
  readonly MODEL_BUDGET_BYTES: string;
  /** A secret: `npx wrangler secret put ADMIN_TOKEN`. */
  readonly ADMIN_TOKEN?: string;
}
