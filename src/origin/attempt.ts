import type { Attempt } from "./balancer.ts";
import type { OriginContext } from "./context.ts";
import { MissingSecret, type Outgoing, requestFor } from "./endpoint-request.ts";
import type { Outcome } from "./endpoint-window.ts";
import { NO_SECRET } from "./failure.ts";
import type { PoolState } from "./pools.ts";
import { AttemptTimeout, type Sent, send } from "./send.ts";

/** A text that nobody streams is written to its end before its first byte is sent. */
const WHOLE_TEXT_MS = 60_000;

/** One request on its way to one endpoint. */
export interface RunningAttempt {
  readonly sent: Promise<Sent>;
  /** The first since its endpoint was ejected: its outcome decides whether the endpoint returns. */
  readonly probe: boolean;
  /** Nobody waits for it any more. Does nothing once it is over. */
  cancel(outcome: "outrun" | "cancelled"): void;
  /** How a stream that `sent` has handed over, or a rejection, is to be counted in the end. */
  end(outcome: Outcome): void;
  /** From its start to its answer. */
  milliseconds(): number;
}

/** What the attempts of one request share. */
export interface AttemptOptions {
  readonly pool: PoolState;
  readonly outgoing: Outgoing;
  readonly context: OriginContext;
  /** The caller left. */
  readonly signal: AbortSignal;
  /** Endpoints (`url`) that were asked already; the one that is chosen is added. */
  readonly tried: Set<string>;
}

/** Chooses an endpoint and sends it the request. */
export function startAttempt(options: AttemptOptions): RunningAttempt {
  const { pool, context, signal, tried } = options;
  const started = context.now();
  const attempt = pool.balancer.choose(started, { tried });
  tried.add(attempt.endpoint.url);
  pool.counters.attempts++;
  const controller = new AbortController();
  let took: number | undefined;
  const limit = limitOf(options, started);
  /** What it is called when it is cut short, however long it would have taken. */
  const cutShort = (): "outrun" | "cancelled" => {
    const p95 = pool.balancer.hedgeAfterMs(context.now());
    return p95 !== undefined && context.now() - started > p95 ? "outrun" : "cancelled";
  };
  const stop = context.clock.after(limit.milliseconds, () => {
    // Whoever has little time must not be able to put an endpoint out with it.
    if (!limit.isOwn) pool.end(attempt, cutShort());
    controller.abort(new AttemptTimeout("The endpoint did not answer in time."));
  });
  const onLeave = (): void => cancel(cutShort());
  const over = (): void => {
    stop();
    signal.removeEventListener("abort", onLeave);
  };
  const cancel = (outcome: "outrun" | "cancelled"): void => {
    over();
    pool.end(attempt, outcome);
    controller.abort(new Error("Nobody waits for this answer."));
  };
  signal.addEventListener("abort", onLeave, { once: true });
  const sent = run(attempt, options, controller.signal)
    .then((result) => {
      took = context.now() - started;
      settle(attempt, pool, result, context.now());
      return result;
    })
    .finally(over);
  // Whoever stops waiting for it must not leave an error that nobody has seen.
  sent.catch(() => {});
  return {
    sent,
    probe: attempt.probe,
    cancel,
    end: (outcome) => pool.end(attempt, outcome),
    milliseconds: () => took ?? context.now() - started,
  };
}

/** How long an attempt may take, and whether that is the pool's own limit: only then it has failed. */
function limitOf(
  { pool, outgoing, tried }: AttemptOptions,
  now: number,
): { readonly milliseconds: number; readonly isOwn: boolean } {
  const { deadline, idempotent, operation, wantsEvents } = outgoing.incoming;
  const { timeoutMs } = pool.config;
  const isWholeText = operation === "text" && !wantsEvents;
  const own = isWholeText ? Math.max(timeoutMs, WHOLE_TEXT_MS) : timeoutMs;
  const left = deadline - now;
  // Of the first, so that there is time for a second.
  const isFirst = tried.size === 1 && pool.endpoints > 1;
  const mayRepeat = isFirst && idempotent && outgoing.body.kind !== "stream";
  const given = mayRepeat ? left / 2 : left;
  return { milliseconds: Math.min(own, given), isOwn: own <= given };
}

async function run(
  attempt: Attempt,
  { pool, outgoing, context }: AttemptOptions,
  signal: AbortSignal,
): Promise<Sent> {
  try {
    const request = await requestFor(attempt.endpoint, outgoing, context.isolate);
    return await send(request, outgoing.incoming.operation, signal, context);
  } catch (error) {
    if (error instanceof MissingSecret) return { kind: "failed", failure: NO_SECRET };
    pool.end(attempt, "cancelled");
    throw error;
  }
}

function settle(attempt: Attempt, pool: PoolState, result: Sent, now: number): void {
  if (result.kind === "failed") {
    const { retryAfterMs } = result.failure;
    if (retryAfterMs !== undefined) attempt.rest(retryAfterMs, now);
    pool.end(attempt, "failure");
  }
  // Whose fault that is, another endpoint will tell.
  else if (result.kind === "rejected") return;
  else if (result.answer.body.kind === "whole") pool.end(attempt, "success");
  else attempt.answered(now);
}
