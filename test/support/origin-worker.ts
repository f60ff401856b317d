import { createExecutionContext } from "cloudflare:test";

import { type Catalog, EMPTY_CATALOG } from "../../src/catalog/catalog.ts";
import { CatalogReader } from "../../src/catalog/reader.ts";
import type { OriginIsolate } from "../../src/origin/context.ts";
import { HealthReader } from "../../src/origin/health-reader.ts";
import { Pools } from "../../src/origin/pools.ts";
import { systemClock } from "../../src/origin/clock.ts";
import { createSigner } from "../../src/origin/sign.ts";
import type { Log, LogFields } from "../../src/telemetry/log.ts";
import { contextOf } from "../../workers/origin/index.ts";
import { forward } from "../../src/origin/forward.ts";
import { problemResponse } from "../../src/protocol/problem.ts";
import { PRIVATE_KEY } from "../origin/signed.ts";

export type Endpoint = (request: Request, init: { signal: AbortSignal }) => Promise<Response>;

export const ENDPOINTS = ["a", "b", "c", "d"].map((name) => `https://${name}.example.com`);

export const json = (value: unknown, init: ResponseInit = {}): Response =>
  Response.json(value, init);

/** What an endpoint of the Open Inference Protocol might say, and who it was. */
export const answer = (from: string, init: ResponseInit = {}): Response =>
  json({ from, outputs: [] }, init);

interface OriginOptions {
  /** By the first letter of its host; who is not named answers `{"from": "<letter>", "outputs": []}`. */
  readonly endpoints?: Readonly<Record<string, Endpoint>>;
  readonly pool?: Record<string, unknown>;
  readonly health?: unknown;
  readonly sign?: boolean;
  /** Of the origin Worker. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/** The origin Worker over a pool of four endpoints, whose answers are the test's own; nothing else is. */
export function originOf({
  endpoints = {},
  pool = {},
  health,
  sign = true,
  secrets = {},
}: OriginOptions = {}) {
  const sent: Request[] = [];
  const logged: (LogFields & { event: string })[] = [];
  const log: Log = {
    warn: (event, fields = {}) => logged.push({ event, ...fields }),
    error: (event, cause, fields = {}) => logged.push({ event, cause: String(cause), ...fields }),
  };
  const values: Record<string, string> = {
    catalog: JSON.stringify({
      ...EMPTY_CATALOG,
      pools: {
        gpu: {
          protocol: "open-inference",
          endpoints: ENDPOINTS.map((url) => ({ url })),
          ...pool,
        },
      },
    } satisfies Record<keyof Pick<Catalog, "schema" | "pools">, unknown>),
    ...(health !== undefined && { health: JSON.stringify(health) }),
  };
  const namespace = {
    get: (key: string) => Promise.resolve(values[key] ?? null),
    put: async (key: string, value: string) => {
      values[key] = value;
    },
  };
  let at = 0;
  let later = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + later };
  const isolate: OriginIsolate = {
    catalog: new CatalogReader(namespace),
    health: new HealthReader(namespace),
    pools: new Pools({ clock, random: Math.random, log }),
    sign: sign
      ? createSigner({
          privateKey: PRIVATE_KEY,
          keyId: "edge-1",
          now: Date.now,
          randomId: () => `nonce-${at++}`,
        })
      : undefined,
    secretOf: (name) => secrets[name],
  };
  const execution = createExecutionContext();
  const context = {
    ...contextOf("request-1", isolate, execution),
    log,
    clock,
    // No wait before a retry.
    random: () => 0,
    now: () => clock.now(),
    fetch: async (request: Request, init: { signal: AbortSignal }): Promise<Response> => {
      sent.push(request.clone());
      const name = new URL(request.url).host.charAt(0);
      return endpoints[name]?.(request, init) ?? answer(name);
    },
  };
  const ask = async (
    headers: Record<string, string> = {},
    init: RequestInit = {},
    path = "/pools/gpu/v2/models/m/infer",
  ): Promise<Response> => {
    const request = new Request(`https://origin.invalid${path}`, {
      method: "POST",
      body: '{"inputs":[]}',
      ...init,
      headers: {
        "content-type": "application/json",
        "nearside-idempotent": "true",
        ...headers,
      },
    });
    return forward(request, context).catch((error: unknown) =>
      problemResponse(error, "request-1", { openInference: false }),
    );
  };
  const counters = () => isolate.pools.report()["gpu"];
  /** So much time goes by at once. */
  const pass = (milliseconds: number): void => void (later += milliseconds);
  return { ask, pass, sent, logged, counters, isolate, context, namespace, values };
}

/** An endpoint that never answers, and ends only when nobody waits any more. */
export const hanging: Endpoint = (_, { signal }) =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });

export const status =
  (code: number, headers: Record<string, string> = {}): Endpoint =>
  () =>
    Promise.resolve(new Response("secret words of the endpoint", { status: code, headers }));

/** A body in pieces that the test hands out. */
export function streamed(headers: Record<string, string>, init: { cancelled?: () => void } = {}) {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    cancel: () => init.cancelled?.(),
  });
  return {
    response: new Response(body, { headers }),
    write: (text: string) => controller?.enqueue(new TextEncoder().encode(text)),
    close: () => controller?.close(),
    fail: () => controller?.error(new Error("Network connection lost.")),
  };
}
