import type { LedgerService } from "../../src/billing/ledger-service.ts";
import type { UsageEvent } from "../../src/billing/usage-event.ts";
import type { StatisticsService } from "../../src/telemetry/statistics.ts";

/** Bindings of the edge Worker, as wrangler.toml declares them. */
export interface Env {
  readonly MODELS: R2Bucket;
  readonly CATALOG: KVNamespace;
  /** Where usage events go; without it nothing is metered, shadows don't run, and what has a price is refused. */
  readonly USAGE?: Queue<UsageEvent>;
  /** Cloudflare's Flagship, instead of flagd's rules in the catalog. */
  readonly FLAGS?: Flagship;
  /** The origin Worker: what needs a GPU goes there; without it the edge answers alone. */
  readonly ORIGIN?: Fetcher;
  /** Keys and accounts, as the control plane writes them; without it no key is known. */
  readonly KEYS?: KVNamespace;
  /** The accounts' ledgers: the control Worker's entrypoint. Without it whoever pays is refused. */
  readonly LEDGERS?: LedgerService;
  /** What all isolates have answered: the control Worker's entrypoint. Without it there are no statistics. */
  readonly STATISTICS?: StatisticsService;
  readonly RATE_LIMITER?: RateLimit;
  /** What RATE_LIMITER allows, as it is declared: requests/seconds. */
  readonly RATE_LIMIT?: string;
  /** Whether callers without a key are `refused`, answered by models that are `unpriced`, or `allowed` everything. */
  readonly ANONYMOUS?: string;
  readonly MODEL_BUDGET_BYTES: string;
  /** A secret: `npx wrangler secret put ADMIN_TOKEN`. */
  readonly ADMIN_TOKEN?: string;
  /** A secret: the private JWK (Ed25519, with a kid) that signs receipts, or a JWKS of several, each with its `nbf` and `exp`. Without it there are none. */
  readonly RECEIPT_KEY?: string;
  /** A JWKS: the public keys that signed before. */
  readonly RECEIPT_PUBLIC_KEYS?: string;
}
