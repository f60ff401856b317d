import type { Clock } from "./admission.ts";
import type { Answer } from "./send.ts";

type StreamedBody = Extract<Answer["body"], { kind: "stream" }>;

/** How a stream came to its end. */
export type RelayEnd = "complete" | "broken" | "stalled" | "left" | "unread";

/** A reader that takes nothing for so long has gone without a word, or holds a place that others need. */
export const UNREAD_MS = 60_000;
/** The same is true of one that takes a little now and then; no text is written for so long. */
export const MAX_STREAM_MS = 1_800_000;

interface RelayOptions {
  /** So long may the endpoint say nothing. */
  readonly idleMs: number;
  readonly clock: Clock;
  /** The caller left. */
  readonly signal: AbortSignal;
}

export interface Relay {
  readonly readable: ReadableStream<Uint8Array>;
  /** Never rejects. */
  readonly ended: Promise<RelayEnd>;
}

/** In OpenAI's form, which its clients throw as an error. */
const ERROR_EVENTS: { readonly [E in "broken" | "stalled"]: string } = {
  broken: errorEvent("origin_failed", "The stream broke off."),
  stalled: errorEvent("origin_timeout", "The model has stopped writing."),
};

/**
 * Passes a stream on as it comes: a piece is read when the one before it was taken, so there is never more than one
 * in memory. One that breaks off or stalls does not end as if it were complete: events end with an error event, a
 * body of bytes is cut off.
 */
export function relay(body: StreamedBody, options: RelayOptions): Relay {
  const { readable, writable } =
    body.length === undefined ? new IdentityTransformStream() : new FixedLengthStream(body.length);
  const writer = writable.getWriter();
  return { readable, ended: pump(body, writer, options) };
}

async function pump(
  { first, rest, events }: StreamedBody,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  { idleMs, clock, signal }: RelayOptions,
): Promise<RelayEnd> {
  const left = Promise.withResolvers<"left">();
  const onLeave = (): void => left.resolve("left");
  if (signal.aborted) onLeave();
  signal.addEventListener("abort", onLeave, { once: true });
  // The caller has closed what it reads from.
  writer.closed.catch(onLeave);
  const idle = idleTimer(clock, idleMs);
  const stop = clock.after(MAX_STREAM_MS, () => idle.ring("unread"));
  let last = first;
  const flow = async (): Promise<RelayEnd> => {
    for (let piece: Uint8Array | undefined = first; piece !== undefined;) {
      idle.hold();
      const written = await writer.write(piece).then(
        () => true,
        () => false,
      );
      if (!written) return "left";
      last = piece;
      idle.start();
      try {
        piece = await rest.read();
      } catch {
        return "broken";
      }
    }
    return "complete";
  };
  const end = await Promise.race([flow(), left.promise, idle.rung]);
  idle.stop();
  stop();
  signal.removeEventListener("abort", onLeave);
  if (end !== "complete") void rest.cancel(new Error(end)).catch(() => {});
  await finish(writer, end, events, last);
  return end;
}

async function finish(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  end: RelayEnd,
  events: boolean,
  last: Uint8Array,
): Promise<void> {
  try {
    if (end === "complete") return await writer.close();
    if (end === "left" || end === "unread" || !events)
      return await writer.abort(new Error(`The answer is ${end}.`));
    // What was begun of an event must not swallow the error.
    const gap = endsEvent(last) ? "" : "\n\n";
    await writer.write(new TextEncoder().encode(`${gap}${ERROR_EVENTS[end]}`));
    await writer.close();
  } catch {
    // The caller is not there any more.
  }
}

/**
 * Rings when there was nothing for so long: waiting for a slow reader is not the endpoint's silence, and has a limit
 * of its own. One timer for many pieces: to set one for each would cost more than the piece.
 */
function idleTimer(clock: Clock, idleMs: number) {
  const { promise, resolve } = Promise.withResolvers<"stalled" | "unread">();
  let since = clock.now();
  let held = false;
  let stop: (() => void) | undefined;
  const watch = (milliseconds: number): void => {
    stop = clock.after(milliseconds, () => {
      const quietMs = clock.now() - since;
      const leftMs = (held ? UNREAD_MS : idleMs) - quietMs;
      if (leftMs <= 0) resolve(held ? "unread" : "stalled");
      else watch(Math.min(leftMs, idleMs));
    });
  };
  const mark = (isHeld: boolean): void => {
    held = isHeld;
    since = clock.now();
  };
  watch(idleMs);
  return {
    rung: promise,
    ring: resolve,
    hold: () => mark(true),
    start: () => mark(false),
    stop: () => stop?.(),
  };
}

function endsEvent(bytes: Uint8Array): boolean {
  return /(?:\n\n|\r\n\r\n|\r\r)$/.test(String.fromCharCode(...bytes.subarray(-4)));
}

function errorEvent(code: string, message: string): string {
  const error = { message, type: "server_error", param: null, code };
  return `event: error\ndata: ${JSON.stringify({ error })}\n\n`;
}
