import type { AccessVerifier } from "../accounts/access-jwt.ts";
import type { RolloutsOfModel } from "../rollout/view.ts";
import type { CatalogStore } from "../catalog/changes.ts";
import type { DocsFiles } from "../docs/serve.ts";
import type { Log } from "../telemetry/log.ts";
import type { AccountBooks } from "./accounts/account-books.ts";
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
  /** @param account its id */
  booksOf(account: string): AccountBooks;
  /** What the edge reads of accounts, and the list of them. */
  readonly accounts: {
    readonly keys: Pick<KVNamespace, "get">;
    readonly bucket: Pick<R2Bucket, "list">;
  };
  /** Where usage is that could not be counted. */
  readonly deadUsage: Pick<R2Bucket, "get" | "put" | "list" | "delete">;
  /** Whether exports may go to private addresses. */
  readonly allowPrivateExports: boolean;
  /** What the page /docs is made of. */
  readonly docs: DocsFiles;
  /** Milliseconds since the epoch. */
  now(): number;
}
