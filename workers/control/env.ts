import type { AccountLedger } from "./account-ledger.ts";
import type { AuditLog } from "./audit-log.ts";
import type { ModelRollouts } from "./model-rollouts.ts";

/** Bindings of the control Worker, as wrangler.toml declares them. */
export interface Env {
  readonly MODELS: R2Bucket;
  readonly CATALOG: KVNamespace;
  /** Keys by their hash and accounts by their id, as the edge reads them. */
  readonly KEYS: KVNamespace;
  readonly AUDIT_LOG: DurableObjectNamespace<AuditLog>;
  readonly MODEL_ROLLOUTS: DurableObjectNamespace<ModelRollouts>;
  readonly ACCOUNT_LEDGERS: DurableObjectNamespace<AccountLedger>;
  /** `true` lets exports go to private addresses. */
  readonly ALLOW_PRIVATE_EXPORTS: string;
  /** As the edge has it. */
  readonly MODEL_BUDGET_BYTES: string;
  /** `acme.cloudflareaccess.com`; Access is off while this or the audience is empty. */
  readonly ACCESS_TEAM_DOMAIN: string;
  readonly ACCESS_AUDIENCE: string;
  /** A secret: `npx wrangler secret put ADMIN_TOKEN --config workers/control/wrangler.toml`. */
  readonly ADMIN_TOKEN?: string;
}
