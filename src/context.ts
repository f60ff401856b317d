import type { Directory } from "./accounts/directory.ts";
import type { LeaseHolder } from "./billing/lease.ts";
import type { LedgerService } from "./billing/ledger-service.ts";
import type { Receipts } from "./billing/receipts.ts";
import type { UsageSender } from "./billing/send-usage.ts";
import type { CatalogReader } from "./catalog/reader.ts";
import type { LoadedCorpus } from "./corpus/load.ts";
import type { DocsFiles } from "./docs/serve.ts";
import type { OriginService } from "./origin/call-origin.ts";
import type { Anonymous } from "./protocol/authenticate.ts";
import type { RateLimits } from "./protocol/rate-limit.ts";
import type { TestQuota } from "./protocol/test-quota.ts";
import type { FlagProviders } from "./routing/flag-providers.ts";
import type { Shadows } from "./routing/shadow.ts";
import type { ModelHost } from "./runtime/host.ts";
import type { LoadedModel, ModelLoader } from "./runtime/load-model.ts";
import type { BlobContext } from "./store/blobs.ts";
import type { TaskResources } from "./tasks/resources.ts";
import type { Activity } from "./telemetry/activity.ts";
import type { Log } from "./telemetry/log.ts";
import type { StatisticsReader } from "./telemetry/statistics.ts";
import type { Timing } from "./telemetry/timing.ts";

/** What an isolate keeps from request to request. */
export interface Isolate {
  readonly catalog: CatalogReader;
  readonly host: ModelHost<LoadedModel, LoadedCorpus>;
  readonly loader: ModelLoader;
  readonly flags: FlagProviders;
  readonly activity: Activity;
  readonly usage: UsageSender;
  readonly shadows: Shadows;
  /** Tokenizers of models that compute elsewhere. */
  readonly resources: TaskResources<BlobContext>;
  /** The origin Worker; without it everything is answered here, or refused. */
  readonly origin: OriginService | undefined;
  readonly directory: Directory;
  /** Which callers without a key are answered. */
  readonly anonymous: Anonymous;
  readonly rates: RateLimits;
  readonly tests: TestQuota;
  readonly leases: LeaseHolder;
  readonly receipts: Receipts;
  /** What the page /docs is made of. */
  readonly docs: DocsFiles;
  /** The accounts' ledgers; without them whoever pays is refused. */
  readonly ledgers: LedgerService | undefined;
  /** What all isolates have answered; without it there are no statistics. */
  readonly statistics: StatisticsReader | undefined;
  /** The secret of whoever may override flags; nobody may when it is not set. */
  readonly adminToken: string | undefined;
}

/** What one request carries through the pipeline. Nothing of it outlives the request. */
export interface Context {
  readonly isolate: Isolate;
  readonly requestId: string;
  readonly timing: Timing;
  readonly log: Log;
  /** Aborted when the caller leaves before the answer has ended. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds, monotonic, in fractions: for durations. */
  clock(): number;
  /** Keeps the request's I/O alive after the answer. */
  waitUntil(promise: Promise<unknown>): void;
}
