import type { AccountLedger } from "../../workers/control/account-ledger.ts";
import type { AuditLog } from "../../workers/control/audit-log.ts";
import type * as control from "../../workers/control/index.ts";
import type { ModelRollouts } from "../../workers/control/model-rollouts.ts";

declare global {
  namespace Cloudflare {
    interface GlobalProps {
      mainModule: typeof control;
    }
    interface Env {
      AUDIT_LOG: DurableObjectNamespace<AuditLog>;
      MODEL_ROLLOUTS: DurableObjectNamespace<ModelRollouts>;
      ACCOUNT_LEDGERS: DurableObjectNamespace<AccountLedger>;
      KEYS: KVNamespace;
      ALLOW_PRIVATE_EXPORTS: string;
      ADMIN_TOKEN: string;
      ACCESS_TEAM_DOMAIN: string;
      ACCESS_AUDIENCE: string;
    }
  }
}
