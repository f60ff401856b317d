import { NearsideError } from "../errors.ts";
import { AdmissionRefused } from "./admission.ts";
import type { OriginContext } from "./context.ts";
import { outgoingOf } from "./endpoint-request.ts";
import type { Outcome } from "./endpoint-window.ts";
import { type Exchanged, exchange } from "./exchange.ts";
import { type Incoming, protocolOf, readIncoming } from "./incoming.ts";
import type { PoolState } from "./pools.ts";
import { type RelayEnd, relay } from "./relay.ts";
import { takeBody } from "./request-body.ts";

const OUTCOMES: { readonly [E in RelayEnd]: Outcome } = {
  complete: "success",
  broken: "failure",
  stalled: "failure",
  left: "cancelled",
  unread: "cancelled",
};

/**
 * Forwards one request to an endpoint of its pool:
 * route -> pool -> admit -> hold the body -> attempts -> pass the answer on.
 *
 * @throws NearsideError
 */
export async function forward(request: Request, context: OriginContext): Promise<Response> {
  const { isolate } = context;
  const incoming = readIncoming(request);
  const catalog = await isolate.catalog.get(context);
  const pool = isolate.pools.of(incoming.pool, catalog, isolate.health.get(context));
  if (pool.config.protocol !== protocolOf(incoming.operation)) {
    throw new NearsideError("route_not_found", "The origin pool speaks another protocol.");
  }
  const leave = await admit(pool, incoming, context, request.signal);
  // Until it is over: else a caller who leaves takes with it the one who would count that.
  const over = Promise.withResolvers<void>();
  context.waitUntil(over.promise);
  const finish = (): void => {
    leave();
    over.resolve();
  };
  try {
    const body = await takeBody(request, pool.config.sign);
    const outgoing = outgoingOf(incoming, request.headers, body, pool.config, context.requestId);
    const { signal } = request;
    const options = { pool, outgoing, context, signal, tried: new Set<string>() };
    return respond(await exchange(options), options, finish);
  } catch (error) {
    if (request.signal.aborted) pool.counters.abandoned++;
    finish();
    throw error;
  }
}

async function admit(
  pool: PoolState,
  { priority, deadline }: Incoming,
  { now }: Pick<OriginContext, "now">,
  signal: AbortSignal,
): Promise<() => void> {
  pool.counters.requests++;
  if (pool.endpoints === 0) {
    pool.counters.failed++;
    throw new NearsideError(
      "origin_unavailable",
      "The origin pool has no server that may be asked.",
    );
  }
  try {
    const leave = await pool.admission.enter({ priority, deadline, signal });
    // Who is refused earns nothing: a flood must not pay for a storm of retries.
    pool.budget.earn(now());
    return leave;
  } catch (error) {
    if (!(error instanceof AdmissionRefused)) throw error;
    pool.counters.refused++;
    throw new NearsideError("origin_overloaded", "The origin pool has too much to do.", {
      retryAfterSeconds: error.retryAfterSeconds,
    });
  }
}

interface RespondOptions {
  readonly pool: PoolState;
  readonly context: OriginContext;
  readonly signal: AbortSignal;
}

function respond(
  { answer, attempt, attempts, hedged }: Exchanged,
  { pool, context, signal }: RespondOptions,
  finish: () => void,
): Response {
  const { status, headers, body } = answer;
  headers.set("nearside-endpoint-ms", `${attempt.milliseconds()}`);
  headers.set("nearside-attempts", `${attempts}`);
  headers.set("nearside-hedged", `${hedged}`);
  if (body.kind === "whole") {
    pool.counters.answered++;
    finish();
    return new Response(body.bytes, { status, headers });
  }
  const { idleMs } = pool.config;
  const { readable, ended } = relay(body, { idleMs, clock: context.clock, signal });
  const settle = async (): Promise<void> => {
    const end = await ended;
    attempt.end(OUTCOMES[end]);
    if (end === "complete") pool.counters.answered++;
    else if (end === "left" || end === "unread") pool.counters.abandoned++;
    else {
      pool.counters.failed++;
      const { requestId } = context;
      context.log.warn("stream_failed", { pool: pool.name, requestId, end });
    }
    finish();
  };
  void settle();
  return new Response(readable, { status, headers });
}
