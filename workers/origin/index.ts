import { CatalogReader } from "../../src/catalog/reader.ts";
import { NearsideError } from "../../src/errors.ts";
import { systemClock } from "../../src/origin/clock.ts";
import type { OriginContext, OriginIsolate } from "../../src/origin/context.ts";
import { forward } from "../../src/origin/forward.ts";
import { checkHealth } from "../../src/origin/health-check.ts";
import { HealthReader } from "../../src/origin/health-reader.ts";
import { Pools } from "../../src/origin/pools.ts";
import { createSigner } from "../../src/origin/sign.ts";
import { parseSigningKey } from "../../src/origin/signing-keys.ts";
import { problemResponse } from "../../src/protocol/problem.ts";
import { requestId } from "../../src/protocol/request-id.ts";
import { consoleLog } from "../../src/telemetry/log.ts";
import type { Env } from "./env.ts";

/** What this isolate keeps: made by its first request, because bindings come with requests. */
let isolate: OriginIsolate | undefined;

export default {
  async fetch(request, env, execution) {
    isolate ??= createIsolate(env);
    if (env.REPORT_POOLS === "true" && new URL(request.url).pathname === "/pools") {
      return Response.json({ pools: isolate.pools.report() });
    }
    return handle(request, isolate, execution);
  },

  async scheduled(_, env, execution) {
    isolate ??= createIsolate(env);
    const context = contextOf("cron", isolate, execution);
    await checkHealth(env.CATALOG, context);
  },
} satisfies ExportedHandler<Env>;

/** Answers one request. */
export async function handle(
  request: Request,
  kept: OriginIsolate,
  execution: Pick<ExecutionContext, "waitUntil">,
): Promise<Response> {
  const id = request.headers.get("nearside-request-id") ?? requestId(request);
  const context = contextOf(id, kept, execution);
  try {
    return await forward(request, context);
  } catch (error) {
    if (!(error instanceof NearsideError || request.signal.aborted)) {
      context.log.error("forward_crashed", error, { requestId: id });
    }
    return problemResponse(error, id, { openInference: false });
  }
}

/** What an isolate keeps from its first request to its last. */
export function createIsolate(env: Env): OriginIsolate {
  return {
    catalog: new CatalogReader(env.CATALOG, (cause) =>
      consoleLog.error("catalog_read_failed", cause),
    ),
    health: new HealthReader(env.CATALOG, (cause) => consoleLog.error("health_read_failed", cause)),
    pools: new Pools({ clock: systemClock, random: Math.random, log: consoleLog }),
    sign: signerOf(env),
    secretOf: (name) => secretOf(env, name),
  };
}

/** What one request, or one look at the endpoints, works with. */
export function contextOf(
  id: string,
  kept: OriginIsolate,
  execution: Pick<ExecutionContext, "waitUntil">,
): OriginContext {
  return {
    isolate: kept,
    requestId: id,
    clock: systemClock,
    random: Math.random,
    log: consoleLog,
    fetch: (sent, init) => fetch(sent, init),
    now: () => systemClock.now(),
    waitUntil: (promise) => execution.waitUntil(promise),
  };
}

/** Only these: a pool must not be able to name the signing key. */
function secretOf(env: Env, name: string): string | undefined {
  if (!name.startsWith("ORIGIN_SECRET_")) return undefined;
  const secret = (env as unknown as Readonly<Record<string, unknown>>)[name];
  return typeof secret === "string" && secret !== "" ? secret : undefined;
}

function signerOf({ SIGNING_KEY }: Env): OriginIsolate["sign"] {
  if (SIGNING_KEY === undefined || SIGNING_KEY === "") return undefined;
  return createSigner({
    ...parseSigningKey(SIGNING_KEY),
    now: () => systemClock.now(),
    randomId: () => crypto.randomUUID(),
  });
}
