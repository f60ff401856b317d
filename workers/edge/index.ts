import jpeg from "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm";
import png from "@jsquash/png/codec/pkg/squoosh_png_bg.wasm?module";
import webp from "@jsquash/webp/codec/dec/webp_dec.wasm";

import wasm from "../../.nearside/runtime/ort.wasm";
import identity from "../../.nearside/runtime/runtime.json";
import searchWasm from "../../.nearside/runtime/search.wasm";
import { Directory } from "../../src/accounts/directory.ts";
import { LeaseHolder } from "../../src/billing/lease.ts";
import { Receipts } from "../../src/billing/receipts.ts";
import { UsageSender } from "../../src/billing/send-usage.ts";
import { CatalogReader } from "../../src/catalog/reader.ts";
import type { Context, Isolate } from "../../src/context.ts";
import { loadCorpus } from "../../src/corpus/load.ts";
import { parseAnonymous } from "../../src/protocol/authenticate.ts";
import { RateLimits, parseRatePolicy } from "../../src/protocol/rate-limit.ts";
import { requestId } from "../../src/protocol/request-id.ts";
import { route } from "../../src/protocol/router.ts";
import { TestQuota } from "../../src/protocol/test-quota.ts";
import { FlagProviders } from "../../src/routing/flag-providers.ts";
import { Shadows } from "../../src/routing/shadow.ts";
import { flagdProvider } from "../../src/routing/flagd.ts";
import { flagshipProvider } from "../../src/routing/flagship.ts";
import { mixedProvider } from "../../src/routing/mixed-provider.ts";
import { ModelHost } from "../../src/runtime/host.ts";
import { ModelLoader } from "../../src/runtime/load-model.ts";
import { BlobStore } from "../../src/store/blobs.ts";
import { taskFor } from "../../src/tasks/index.ts";
import { TaskResources } from "../../src/tasks/resources.ts";
import type { TaskTools } from "../../src/tasks/tools.ts";
import { Activity } from "../../src/telemetry/activity.ts";
import { consoleLog } from "../../src/telemetry/log.ts";
import { StatisticsReader } from "../../src/telemetry/statistics.ts";
import { Timing } from "../../src/telemetry/timing.ts";
import { DOCS } from "../docs.ts";
import type { Env } from "./env.ts";

const DEFAULT_RATE = "2000/10";

const TOOLS: TaskTools = { codecs: { jpeg, png, webp } };

/** What this isolate keeps: made by its first request, because bindings come with requests. */
let isolate: Isolate | undefined;

export default {
  fetch(request, env, execution) {
    isolate ??= createIsolate(env);
    return handle(request, isolate, execution);
  },
} satisfies ExportedHandler<Env>;

/** Answers one request. */
export function handle(
  request: Request,
  kept: Isolate,
  execution: ExecutionContext,
): Promise<Response> {
  const context: Context = {
    isolate: kept,
    requestId: requestId(request),
    timing: new Timing(() => performance.now()),
    log: consoleLog,
    signal: request.signal,
    now: () => Date.now(),
    clock: () => performance.now(),
    waitUntil: (promise) => execution.waitUntil(promise),
  };
  return route(request, context);
}

/** What an isolate keeps from its first request to its last. */
export function createIsolate(env: Env): Isolate {
  const blobs = new BlobStore(env.MODELS, caches.default);
  const loader = new ModelLoader({
    runtime: { wasm, digest: identity.digest, startup: identity.startup },
    blobs,
    prepare: (manifest, assets) => taskFor(manifest)?.prepare(assets, TOOLS),
    onFallback: ({ name, version }, fault, cause) =>
      consoleLog.error("snapshot_fallback", cause, { model: name, version, fault }),
  });
  const host = new ModelHost({
    budgetBytes: Number(env.MODEL_BUDGET_BYTES),
    load: (manifest, context) => loader.load(manifest, context),
    loadCorpus: (manifest, context) => loadCorpus(manifest, searchWasm, blobs, context),
  });
  const flagship = env.FLAGS && flagshipProvider(env.FLAGS);
  const activity = new Activity();
  const usage = new UsageSender(env.USAGE);
  return {
    catalog: new CatalogReader(env.CATALOG, (cause) =>
      consoleLog.error("catalog_read_failed", cause),
    ),
    host,
    loader,
    flags: new FlagProviders(
      (cause) => consoleLog.error("flag_failed", cause),
      (flags) => {
        const flagd = flagdProvider(flags);
        return flagship ? mixedProvider(flags, flagd, flagship) : flagd;
      },
    ),
    activity,
    usage,
    shadows: new Shadows({ host, activity, usage }),
    resources: new TaskResources(blobs, TOOLS),
    origin: env.ORIGIN,
    directory: new Directory(env.KEYS),
    anonymous: parseAnonymous(env.ANONYMOUS),
    rates: new RateLimits(env.RATE_LIMITER, parseRatePolicy(env.RATE_LIMIT ?? DEFAULT_RATE)),
    tests: new TestQuota(),
    leases: new LeaseHolder(crypto.randomUUID(), async (account, request) => {
      if (env.LEDGERS === undefined) throw new Error("There is no binding LEDGERS.");
      return env.LEDGERS.grant(account, request);
    }),
    receipts: new Receipts(env.RECEIPT_KEY, env.RECEIPT_PUBLIC_KEYS),
    docs: DOCS,
    ledgers: env.LEDGERS,
    statistics: env.STATISTICS && new StatisticsReader(env.STATISTICS),
    adminToken: env.ADMIN_TOKEN,
  };
}
