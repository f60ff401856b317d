import { NearsideError } from "../errors.ts";
import { WIRE_FORMS } from "./problem.ts";

/** How a body that was passed on has ended, for the request's event. */
export interface End {
  /** `ok`, or the code of the error. */
  readonly outcome: string;
  readonly status: number;
}

/** Why a body was not passed on to its end. */
export type Break = "origin_failed" | "origin_timeout";

/**
 * An answer of 16 thousand tokens at 30 a second takes nine minutes; who has not taken it by then never will, and
 * holds a place in the pool.
 */
export const MAX_PASSING_MS = 600_000;
/** The origin Worker watches the same silence, and says of it what it knows: its word has so long to get here. */
const VERDICT_MS = 150;

const endOf = (outcome: "cancelled" | Break): End => ({
  outcome,
  status: WIRE_FORMS[outcome].status,
});

/** Looks at a body on its way, and may change it. */
export interface Filter {
  /** @returns what goes on of a chunk and those before it; may be empty */
  push(chunk: Uint8Array): Uint8Array;
  /** What is left at the end. */
  end(): Uint8Array;
  /** Whether a body that came to its end says itself that it has failed. */
  hasFailed?(): boolean;
  /** What the caller gets when the body breaks off; without it the caller's breaks off, too. */
  broken?(why: Break): Uint8Array;
}

/** What a body is passed on with. */
export interface Passing {
  /** Of the answer. */
  readonly status: number;
  /** Aborted when the caller leaves. */
  readonly signal: AbortSignal;
  /** So long may the source say nothing; waiting for a slow reader does not count. */
  readonly idleMs: number;
  readonly filter?: Filter;
}

/**
 * Passes a body on as it comes: a chunk is read when the one before it has been taken, and whoever stops
 * taking stops the source.
 */
export function passThrough(
  source: ReadableStream<Uint8Array>,
  { status, signal, idleMs, filter }: Passing,
): { readonly body: ReadableStream<Uint8Array>; readonly ended: Promise<End> } {
  const reader = source.getReader();
  const { promise: ended, resolve } = Promise.withResolvers<End>();
  let stoppedBy: NearsideError | undefined;
  const finish = (end: End): void => {
    signal.removeEventListener("abort", leave);
    silence.stop();
    clearTimeout(total);
    resolve(end);
  };
  const stop = (end: End): void => {
    finish(end);
    reader.cancel().catch(() => {});
  };
  const leave = (): void => stop(endOf("cancelled"));
  const silence = silenceWatch(idleMs + VERDICT_MS, () => {
    stoppedBy = new NearsideError("origin_timeout", "The model has stopped answering.");
    stop(endOf("origin_timeout"));
  });
  const total = setTimeout(() => {
    stoppedBy = new NearsideError("origin_timeout", "The answer takes too long.");
    stop(endOf("origin_timeout"));
  }, MAX_PASSING_MS);
  signal.addEventListener("abort", leave, { once: true });
  const read = async () => {
    if (stoppedBy !== undefined) throw stoppedBy;
    silence.begin();
    const result = await reader.read();
    silence.end();
    // A source that was stopped ends as if it were complete.
    if (stoppedBy !== undefined) throw stoppedBy;
    return result;
  };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            const { done, value } = await read();
            const rest = done ? filter?.end() : (filter?.push(value) ?? value);
            if (rest !== undefined && rest.length > 0) controller.enqueue(rest);
            if (done) {
              finish(
                filter?.hasFailed?.() === true ? endOf("origin_failed") : { outcome: "ok", status },
              );
              controller.close();
              return;
            }
            if (rest !== undefined && rest.length > 0) return;
          }
        } catch (error) {
          const why = stoppedBy === undefined ? "origin_failed" : "origin_timeout";
          stop(endOf(why));
          const last = filter?.broken?.(why);
          if (last === undefined) throw stoppedBy ?? error;
          controller.enqueue(last);
          controller.close();
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
  return { body, ended };
}

/** Rings once when one wait is that long. One timer for many: to set one for each would cost more than a chunk. */
function silenceWatch(milliseconds: number, ring: () => void) {
  let since: number | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const arm = (after: number): void => {
    timer = setTimeout(() => {
      timer = undefined;
      if (since === undefined) return;
      const left = milliseconds - (Date.now() - since);
      if (left > 0) arm(left);
      else ring();
    }, after);
  };
  return {
    begin() {
      since = Date.now();
      if (timer === undefined) arm(milliseconds);
    },
    end: () => (since = undefined),
    stop: () => clearTimeout(timer),
  };
}
