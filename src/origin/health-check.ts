import type { OriginContext } from "./context.ts";
import { requestFor } from "./endpoint-request.ts";
import { isPrivateAddress } from "./endpoint-guard.ts";
import { HEALTH_KV_KEY, type HealthReport } from "./health-reader.ts";
import type { EndpointHealth, OriginPool, PoolEndpoint } from "./pool.ts";

/** An endpoint that needs longer to say that it is ready is not. */
const CHECK_TIMEOUT_MS = 5_000;
/** Where many are dead, each gets less; half a second is still enough for any that is well. */
const LEAST_TIMEOUT_MS = 500;
/** The next look comes after a minute, and what is known must reach the isolates before that. */
const MOST_TOTAL_MS = 40_000;
/** What Workers open at the same time anyway. */
const CONCURRENT_CHECKS = 6;
/** Any engine lists its models here; readiness is in no standard of OpenAI's. */
const READY_PATHS = { "open-inference": "v2/health/ready", openai: "v1/models" } as const;

interface Checked {
  readonly pool: string;
  readonly url: string;
  readonly health: EndpointHealth;
}

/** Asks every endpoint of every pool whether it is ready, and tells the isolates. */
export async function checkHealth(
  namespace: { put(key: string, value: string): Promise<void> },
  context: OriginContext,
): Promise<HealthReport> {
  const { pools = {} } = await context.isolate.catalog.get(context);
  const all = Object.entries(pools).flatMap(([name, pool]) =>
    pool.endpoints.map((endpoint) => ({ name, pool, endpoint })),
  );
  // Where the time is not enough for all, it is not always the same ones of whom nothing is known.
  const from = Math.floor(context.random() * all.length);
  const waiting = [...all.slice(from), ...all.slice(0, from)];
  const until = context.now() + MOST_TOTAL_MS;
  const checked: Checked[] = [];
  const checkNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { name, pool, endpoint } = next;
      const left = until - context.now();
      if (left <= 0) return;
      const share = (left * CONCURRENT_CHECKS) / (waiting.length + 1);
      const timeoutMs = Math.min(CHECK_TIMEOUT_MS, Math.max(LEAST_TIMEOUT_MS, share));
      const healthy = await isReady(pool, endpoint, timeoutMs, context);
      checked.push({ pool: name, url: endpoint.url, health: { healthy, at: context.now() } });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_CHECKS }, checkNext));
  const report: HealthReport = {};
  for (const { pool, url, health } of checked) {
    (report[pool] ??= {})[url] = health;
    if (!health.healthy) context.log.warn("endpoint_unhealthy", { pool, endpoint: url });
  }
  if (checked.length > 0) await namespace.put(HEALTH_KV_KEY, JSON.stringify(report));
  return report;
}

async function isReady(
  pool: OriginPool,
  endpoint: PoolEndpoint,
  timeoutMs: number,
  { isolate, requestId, clock, fetch }: OriginContext,
): Promise<boolean> {
  if (!pool.allowPrivate && isPrivateAddress(endpoint.url)) return false;
  const incoming = { path: READY_PATHS[pool.protocol], method: "GET" };
  const headers = [["nearside-request-id", requestId]] as const;
  const controller = new AbortController();
  const stop = clock.after(timeoutMs, () => controller.abort());
  try {
    const outgoing = { incoming, headers, body: { kind: "none" }, pool } as const;
    const request = await requestFor(endpoint, outgoing, isolate);
    const response = await fetch(request, { signal: controller.signal });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  } finally {
    stop();
  }
}
