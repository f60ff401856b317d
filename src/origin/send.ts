import { joinedOrOnly } from "../bytes.ts";
import { type ByteSource, byteSource, readPrefix } from "./byte-source.ts";
import { isCorrupt, isEvents, judgeEvents, mayAnswer } from "./check-answer.ts";
import type { OriginContext } from "./context.ts";
import {
  BROKEN_BODY,
  CONNECTION_FAILURE,
  CORRUPT_BODY,
  type Failure,
  TIMEOUT_FAILURE,
  failureOfStatus,
} from "./failure.ts";
import type { Operation } from "./incoming.ts";

/**
 * An answer up to this is read to its end before the caller hears of it, so that one that breaks off or makes no
 * sense can be asked for again elsewhere. Embeddings of 300 short texts as JSON are that large; what is larger
 * passes through, and ends where its endpoint ends it.
 */
export const MAX_BUFFERED_BYTES = 1024 * 1024;

/** Of what an endpoint says, only this passes. */
const PASSED_BACK = ["content-type", "inference-header-content-length", "retry-after"] as const;
/** The first event of a stream is complete by then, or is none. */
const MAX_FIRST_EVENT_BYTES = 65_536;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body:
    | { readonly kind: "whole"; readonly bytes: Uint8Array }
    | {
        readonly kind: "stream";
        readonly first: Uint8Array;
        readonly rest: ByteSource;
        /** Of all of it, when the endpoint has said so. */
        readonly length: number | undefined;
        readonly events: boolean;
      };
}

export type Sent =
  | { readonly kind: "answer"; readonly answer: Answer }
  /** The request is at fault. */
  | { readonly kind: "rejected"; readonly status: number }
  | { readonly kind: "failed"; readonly failure: Failure };

/** The reason with which an attempt is aborted when its time is over. */
export class AttemptTimeout extends Error {
  override readonly name = "AttemptTimeout";
}

/**
 * Sends one request to one endpoint, and waits until its answer is known to be good: to its end if it is small,
 * to its first event or piece if it is a stream. Never throws: what goes wrong is told.
 */
export async function send(
  request: Request,
  operation: Operation,
  signal: AbortSignal,
  { fetch, now }: Pick<OriginContext, "fetch" | "now">,
): Promise<Sent> {
  let response: Response;
  try {
    response = await fetch(request, { signal });
  } catch {
    return failed(signal.reason instanceof AttemptTimeout ? TIMEOUT_FAILURE : CONNECTION_FAILURE);
  }
  const verdict = failureOfStatus(response.status, response.headers, now());
  if (verdict !== undefined) {
    // Its words are not for callers.
    await response.body?.cancel().catch(() => {});
    return verdict === "rejected" ? { kind: "rejected", status: response.status } : failed(verdict);
  }
  try {
    return await answerOf(response, operation);
  } catch {
    return failed(signal.reason instanceof AttemptTimeout ? TIMEOUT_FAILURE : BROKEN_BODY);
  }
}

async function answerOf(response: Response, operation: Operation): Promise<Sent> {
  const { status } = response;
  if (response.body === null || !mayAnswer(operation, status, response.headers)) {
    await response.body?.cancel().catch(() => {});
    return failed(CORRUPT_BODY);
  }
  const headers = new Headers();
  for (const name of PASSED_BACK) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const length = lengthOf(response.headers);
  const whole = (bytes: Uint8Array): Sent =>
    isCorrupt(operation, response.headers, bytes)
      ? failed(CORRUPT_BODY)
      : { kind: "answer", answer: { status, headers, body: { kind: "whole", bytes } } };
  const events = isEvents(headers);
  if (!events && length !== undefined && length <= MAX_BUFFERED_BYTES) {
    return whole(new Uint8Array(await response.arrayBuffer()));
  }
  const rest = byteSource(response.body);
  const stream = (first: Uint8Array): Sent => {
    const body = { kind: "stream", first, rest, length, events } as const;
    return { kind: "answer", answer: { status, headers, body } };
  };
  if (events) {
    const first = await firstEvent(rest);
    return first === undefined ? failed(CORRUPT_BODY) : stream(first);
  }
  const isLong = length !== undefined && length > MAX_BUFFERED_BYTES;
  const { bytes, ended } = await readPrefix(rest, isLong ? 0 : MAX_BUFFERED_BYTES);
  return ended ? whole(bytes) : stream(bytes);
}

/** As long as the caller has heard nothing, an event that says no more than an error can be had elsewhere. */
async function firstEvent(source: ByteSource): Promise<Uint8Array | undefined> {
  let first: Uint8Array = new Uint8Array();
  for (;;) {
    const piece = await source.read();
    if (piece !== undefined) first = joinedOrOnly([first, piece]);
    // What a piece may have cut in two is not what is looked for.
    const verdict = judgeEvents(new TextDecoder().decode(first), piece === undefined);
    if (verdict === "good") return first;
    if (verdict === "corrupt" || first.length > MAX_FIRST_EVENT_BYTES) {
      await source.cancel().catch(() => {});
      return undefined;
    }
  }
}

/** Undefined when the length is not that of what is read. */
function lengthOf(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  if (text === null || !/^\d{1,15}$/.test(text)) return undefined;
  const encoding = headers.get("content-encoding") ?? "identity";
  return encoding === "identity" ? Number(text) : undefined;
}

function failed(failure: Failure): Sent {
  return { kind: "failed", failure };
}
