import { NearsideError } from "../errors.ts";
import { type AttemptOptions, type RunningAttempt, startAttempt } from "./attempt.ts";
import { pause } from "./clock.ts";
import { type Failure, errorOf } from "./failure.ts";
import type { Answer, Sent } from "./send.ts";

/** With two of any four endpoints broken, the third is a good one; the fourth is for bad luck. */
const MAX_ATTEMPTS = 4;
/** The wait before the first retry is up to this, and up to twice as long before each one after it: full jitter. */
const FIRST_BACK_OFF_MS = 10;
/** An endpoint that asks for more time than this has no place in this request any more. */
const LONGEST_RETRY_AFTER_MS = 2_000;
/** Below this a hedge costs more than the wait that it saves, and clocks of whole milliseconds can't tell. */
const LEAST_HEDGE_MS = 5;
/** Well within the 30 s that a request may go on after its answer. */
const LONGEST_HEARING_MS = 10_000;
/**
 * A hedge saves time, a retry saves an answer: hedges leave of the budget what two endpoints cost until they are
 * ejected, five failures each, and as much for what is under way by then.
 */
const HELD_FOR_RETRIES = 20;

/** How a request was answered, and what that took. */
export interface Exchanged {
  readonly answer: Answer;
  readonly attempt: RunningAttempt;
  readonly attempts: number;
  readonly hedged: boolean;
}

/** One attempt, or two of which the second was a hedge: the first that is of use. */
interface Round {
  readonly sent: Sent;
  readonly attempt: RunningAttempt;
  readonly hedged: boolean;
}

/**
 * Gets an answer from a pool: one attempt, a hedge when it is late, and retries as long as they are safe, in time
 * and within the pool's budget. The caller has heard nothing until this returns.
 *
 * @throws NearsideError; the signal's reason when the caller left
 */
export async function exchange(options: AttemptOptions): Promise<Exchanged> {
  const { pool, outgoing, context, signal } = options;
  let attempts = 0;
  let hedged = false;
  for (;;) {
    if (context.now() >= outgoing.incoming.deadline) throw tooLate();
    const round = await runRound(options);
    signal.throwIfAborted();
    attempts += round.hedged ? 2 : 1;
    hedged ||= round.hedged;
    const { sent, attempt } = round;
    if (sent.kind === "answer") return { answer: sent.answer, attempt, attempts, hedged };
    if (sent.kind === "rejected") throw rejected(options, sent.status);
    const waitMs = waitBeforeRetry(sent.failure, options, attempts);
    if (waitMs === undefined || !spend(options)) throw failed(sent.failure, options, attempts);
    pool.counters.retries++;
    await pause(context.clock, waitMs, signal);
  }
}

async function runRound(options: AttemptOptions): Promise<Round> {
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
  const early = await Promise.race([finished(first, second), finished(second, first)]);
  if (early.sent.kind === "failed") {
    // It had been good in time: the failure of one of two is no reason not to wait for the other.
    return { sent: await early.other.sent, attempt: early.other, hedged: true };
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
  if (sent.kind !== "answer") return;
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

/** How long to wait before the next attempt; undefined when there must be none. */
export function waitBeforeRetry(
  failure: Failure,
  { pool, outgoing, context, tried }: AttemptOptions,
  attempts: number,
): number | undefined {
  const { idempotent, deadline } = outgoing.incoming;
  if (outgoing.body.kind === "stream" || attempts >= MAX_ATTEMPTS) return undefined;
  if (!idempotent && !failure.undone) return undefined;
  let waitMs = context.random() * FIRST_BACK_OFF_MS * 2 ** (attempts - 1);
  if (tried.size >= pool.endpoints) {
    if (failure.elsewhereOnly) return undefined;
    const { retryAfterMs = 0 } = failure;
    if (retryAfterMs > LONGEST_RETRY_AFTER_MS) return undefined;
    waitMs = Math.max(waitMs, retryAfterMs);
  }
  return context.now() + waitMs < deadline ? waitMs : undefined;
}

function maySpendOnHedge({ pool, context }: AttemptOptions): boolean {
  const allowed = pool.budget.retriesAllowed(context.now()) > HELD_FOR_RETRIES;
  if (!allowed) pool.counters.denied++;
  return allowed;
}

function spend({ pool, context }: AttemptOptions): boolean {
  const allowed = pool.budget.trySpend(context.now());
  if (!allowed) pool.counters.denied++;
  return allowed;
}

function failed(failure: Failure, options: AttemptOptions, attempts: number): NearsideError {
  const { pool, context, outgoing } = options;
  pool.counters.failed++;
  const { kind, reason, status } = failure;
  context.log.warn("forward_failed", {
    pool: pool.name,
    requestId: context.requestId,
    attempts,
    kind,
    reason,
    status,
  });
  return context.now() >= outgoing.incoming.deadline ? tooLate() : errorOf(failure);
}

function rejected({ pool, context }: AttemptOptions, status: number): NearsideError {
  pool.counters.rejected++;
  const { requestId } = context;
  context.log.warn("forward_rejected", { pool: pool.name, requestId, status });
  return new NearsideError(
    "origin_rejected",
    `The origin pool refused the request (status ${status}).`,
  );
}

function tooLate(): NearsideError {
  return new NearsideError("deadline_exceeded", "The request's time was over before an answer.");
}
