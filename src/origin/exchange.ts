import { NearsideError } from "../errors.ts";
import type { AttemptOptions, RunningAttempt } from "./attempt.ts";
import { pause } from "./clock.ts";
import { type Failure, errorOf } from "./failure.ts";
import { runRound, spend } from "./round.ts";
import type { Answer } from "./send.ts";

/** With two of any four endpoints broken, the third is a good one; the fourth is for bad luck. */
const MAX_ATTEMPTS = 4;
/** The wait before the first retry is up to this, and up to twice as long before each one after it: full jitter. */
const FIRST_BACK_OFF_MS = 10;
/** An endpoint that asks for more time than this has no place in this request any more. */
const LONGEST_RETRY_AFTER_MS = 2_000;
/** Requests at fault must not use up what broken endpoints will need. */
const HELD_FROM_OPINIONS = 5;

/** How a request was answered, and what that took. */
export interface Exchanged {
  readonly answer: Answer;
  readonly attempt: RunningAttempt;
  readonly attempts: number;
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
  let rejection: { readonly attempt: RunningAttempt; readonly status: number } | undefined;
  try {
    for (;;) {
      if (context.now() >= outgoing.incoming.deadline) throw tooLate();
      const round = await runRound(options);
      if (signal.aborted) round.attempt.cancel("cancelled");
      signal.throwIfAborted();
      attempts += round.hedged ? 2 : 1;
      hedged ||= round.hedged;
      const { sent, attempt } = round;
      if (sent.kind === "answer") {
        // One of two says that the request is at fault, and the other has answered it.
        rejection?.attempt.end("failure");
        return { answer: sent.answer, attempt, attempts, hedged };
      }
      if (sent.kind === "rejected") {
        const isSecond = rejection !== undefined || round.hedged;
        if (rejection === undefined) rejection = { attempt, status: sent.status };
        else attempt.end("cancelled");
        if (isSecond || !maySeekOpinion(options, sent.status, attempts)) {
          throw rejected(options, rejection.status);
        }
      } else {
        if (rejection !== undefined) throw rejected(options, rejection.status);
        const waitMs = waitBeforeRetry(sent.failure, options, attempts);
        if (waitMs === undefined || !spend(options)) throw failed(sent.failure, options, attempts);
        await pause(context.clock, waitMs, signal);
      }
      pool.counters.retries++;
    }
  } finally {
    rejection?.attempt.end("cancelled");
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

/**
 * Whether another endpoint is asked if it, too, finds the request at fault. One that is too large for one may fit
 * another, and was computed by none.
 */
function maySeekOpinion(options: AttemptOptions, status: number, attempts: number): boolean {
  const { pool, outgoing, context, tried } = options;
  if (outgoing.body.kind === "stream" || attempts >= MAX_ATTEMPTS) return false;
  if (!outgoing.incoming.idempotent && status !== 413) return false;
  if (tried.size >= pool.endpoints) return false;
  return pool.budget.retriesAllowed(context.now()) > HELD_FROM_OPINIONS && spend(options);
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
