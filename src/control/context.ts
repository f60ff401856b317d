import type { AccessVerifier } from "../accounts/access-jwt.ts";
import type { RolloutsOfModel } from "../rollout/view.ts";
import type { CatalogStore } from "../catalog/changes.ts";
import type { Log } from "../telemetry/log.ts";
import type { Audit } from "./audit.ts";

/** What one request to the control plane carries. */
export interface ControlContext {
  readonly store: CatalogStore;
  readonly audit: Audit;
  readonly requestId: string;
  readonly log: Log;
  /** Nobody can show a token while it is not set. */
  readonly adminToken: string | undefined;
  /** Undefined while Cloudflare Access is not configured. */
  readonly access: AccessVerifier | undefined;
  rolloutsOf(model: string): RolloutsOfModel;
  /** Milliseconds since the epoch. */
  now(): number;
}
