import type { Attempt } from "./balancer.ts";
import type { OriginContext } from "./context.ts";
import { type Outgoing, requestFor } from "./endpoint-request.ts";
import type { Outcome } from "./endpoint-window.ts";
import type { PoolState } from "./pools.ts";
import { AttemptTimeout, type Sent, send } from "./send.ts";

/** One request on its way to one endpoint. */
export interface RunningAttempt {
  readonly sent: Promise<Sent>;
  /** The first since its endpoint was ejected: its outcome decides whether the endpoint returns. */
  readonly probe: boolean;
  /** Nobody waits for it any more. Does nothing once it is over. */
  cancel(outcome: "outrun" | "cancelled"): void;
  /** How a stream that `sent` has handed over came to its end. */
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
  const { pool, outgoing, context, signal, tried } = options;
  const started = context.now();
  const attempt = pool.balancer.choose(started, { tried });
  tried.add(attempt.endpoint.url);
  pool.counters.attempts++;
  const controller = new AbortController();
  let took: number | undefined;
  const left = outgoing.incoming.deadline - started;
  const stop = context.clock.after(Math.min(pool.config.timeoutMs, left), () =>
    controller.abort(new AttemptTimeout("The endpoint did not answer in time.")),
  );
  const onLeave = (): void => cancel("cancelled");
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

async function run(
  attempt: Attempt,
  { pool, outgoing, context }: AttemptOptions,
  signal: AbortSignal,
): Promise<Sent> {
  try {
    const request = await requestFor(attempt.endpoint, outgoing, context.isolate.sign);
    return await send(request, signal, context);
  } catch (error) {
    pool.end(attempt, "cancelled");
    throw error;
  }
}

function settle(attempt: Attempt, pool: PoolState, result: Sent, now: number): void {
  if (result.kind === "failed") pool.end(attempt, "failure");
  // A quick refusal of a bad request says nothing of how the endpoint computes.
  else if (result.kind === "rejected") pool.end(attempt, "cancelled");
  else if (result.answer.body.kind === "whole") pool.end(attempt, "success");
  else attempt.answered(now);
}
