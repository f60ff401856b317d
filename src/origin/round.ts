import { type AttemptOptions, type RunningAttempt, startAttempt } from "./attempt.ts";
import type { Sent } from "./send.ts";

/** Below this a hedge costs more than the wait that it saves, and clocks of whole milliseconds can't tell. */
const LEAST_HEDGE_MS = 5;
/** Well within the 30 s that a request may go on after its answer. */
const LONGEST_HEARING_MS = 10_000;
/**
 * A hedge saves time, a retry saves an answer: hedges leave of the budget what two endpoints cost until they are
 * ejected, five failures each, and as much for what is under way by then.
 */
const HELD_FOR_RETRIES = 20;

/** One attempt, or two of which the second was a hedge: the first that is of use. */
export interface Round {
  readonly sent: Sent;
  readonly attempt: RunningAttempt;
  readonly hedged: boolean;
}

/**
 * Makes one attempt, and a hedge when it is late. What is not returned of the two has ended by then, or ends by itself.
 */
export async function runRound(options: AttemptOptions): Promise<Round> {
  const { pool, signal } = options;
  const first = startAttempt(options);
  const hedgeAfterMs = hedgeAfter(options);
  const alone = async (): Promise<Round> => ({
    sent: await first.sent,
    attempt: first,
    hedged: false,
  });
  if (hedgeAfterMs === undefined) return alone();
  if (!(await isLate(first, hedgeAfterMs, options))) return alone();
  if (signal.aborted || !maySpendOnHedge(options) || !spend(options)) return alone();
  pool.counters.hedges++;
  const second = startAttempt(options);
  // One that could not even be sent leaves the other alone.
  const early = await Promise.race([
    finished(first, second),
    finished(second, first).catch(() => finished(first, second)),
  ]).catch((error: unknown) => {
    for (const attempt of [first, second]) attempt.cancel("cancelled");
    throw error;
  });
  if (early.sent.kind === "failed") {
    // It had been good in time: the failure of one of two is no reason not to wait for the other.
    return { sent: await early.other.sent, attempt: early.other, hedged: true };
  }
  if (early.sent.kind === "rejected") {
    const sent = await early.other.sent;
    early.attempt.end(sent.kind === "answer" ? "failure" : "cancelled");
    if (sent.kind === "answer") return { sent, attempt: early.other, hedged: true };
    early.other.end("cancelled");
    return { sent: early.sent, attempt: early.attempt, hedged: true };
  }
  if (early.attempt === second) pool.counters.hedgesWon++;
  if (early.other !== first) second.cancel("cancelled");
  else if (first.probe) options.context.waitUntil(hearOut(first, options));
  else first.cancel("outrun");
  return { sent: early.sent, attempt: early.attempt, hedged: true };
}

async function finished(attempt: RunningAttempt, other: RunningAttempt) {
  return { sent: await attempt.sent, attempt, other };
}

/**
 * Nobody waits for a probe that a hedge has outrun, but its endpoint's return hangs on it: one that has just
 * been repaired is slow to begin with, and would be out for twice as long for that.
 */
async function hearOut(
  probe: RunningAttempt,
  { context }: Pick<AttemptOptions, "context">,
): Promise<void> {
  const stop = context.clock.after(LONGEST_HEARING_MS, () => probe.cancel("outrun"));
  const sent = await probe.sent.finally(stop);
  if (sent.kind !== "answer") return probe.end("cancelled");
  probe.end("success");
  probe.cancel("cancelled");
}

/** Only what may be computed twice, and of which there is a copy; not what an engine writes for seconds. */
function hedgeAfter({ pool, outgoing, context, tried }: AttemptOptions): number | undefined {
  const { idempotent, wantsEvents } = outgoing.incoming;
  if (!pool.config.hedge || !idempotent || wantsEvents || outgoing.body.kind === "stream") {
    return undefined;
  }
  if (tried.size >= pool.endpoints) return undefined;
  const p95 = pool.balancer.hedgeAfterMs(context.now());
  return p95 === undefined ? undefined : Math.max(LEAST_HEDGE_MS, p95);
}

async function isLate(
  { sent }: RunningAttempt,
  milliseconds: number,
  { context }: AttemptOptions,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const stop = context.clock.after(milliseconds, () => resolve(true));
  try {
    return await Promise.race([promise, sent.then(() => false)]);
  } finally {
    stop();
  }
}

function maySpendOnHedge({ pool, context }: AttemptOptions): boolean {
  const allowed = pool.budget.retriesAllowed(context.now()) > HELD_FOR_RETRIES;
  if (!allowed) pool.counters.denied++;
  return allowed;
}

/** Takes what a retry or a hedge costs from the pool's budget. @returns false when there is nothing left */
export function spend({ pool, context }: AttemptOptions): boolean {
  const allowed = pool.budget.trySpend(context.now());
  if (!allowed) pool.counters.denied++;
  return allowed;
}
