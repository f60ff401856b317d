import type { Units } from "../../billing/meter.ts";
import { digestOf } from "../../billing/receipt.ts";
import type { Context } from "../../context.ts";
import { type Charge, costText, type Settled } from "../charge.ts";
import type { Decided } from "../decide.ts";
import type { End } from "../pass-through.ts";

/** A stream on its way from a pool. */
export interface PassedStream {
  readonly kind: "stream";
  readonly response: Response;
  /** Known at its end; until then what has been delivered. */
  units(): Units;
  /** Whether any of the answer's text has gone on. */
  hasDelivered(): boolean;
  readonly ended: Promise<End>;
}

const DONE = new TextEncoder().encode("data: [DONE]");

/**
 * Answers with a stream. What it cost is known when its last event is: two comments tell it, right before
 * `data: [DONE]` or where the stream ends without that, and the receipt's digest is of all that came before them.
 *
 * A stream that breaks off, ends with an error, or is left by its caller costs what was delivered by then: what the
 * pool has told as used, and at least a token for each event that brought text. One that brought none costs nothing.
 */
export function answerStream(
  context: Context,
  { meter }: Decided,
  charge: Charge | undefined,
  { response, ended, request, ...stream }: PassedStream & { request: Uint8Array<ArrayBuffer> },
): Response {
  const { status, body } = response;
  if (charge === undefined || body === null) {
    context.waitUntil(ended.then((end) => meter.end({ ...end, units: stream.units() })));
    return response;
  }
  const digest = new crypto.DigestStream("SHA-256");
  const writer = digest.getWriter();
  let settled: Promise<Settled | undefined> | undefined;
  const settle = (): Promise<Settled | undefined> => (settled ??= settleNow());
  const settleNow = async (): Promise<Settled | undefined> => {
    await writer.close();
    return charge.settle({
      placement: "origin",
      units: stream.units(),
      requestDigest: await digestOf(request),
      responseDigest: new Uint8Array(await digest.digest).toHex(),
    });
  };
  const tell = async (controller: Controller): Promise<void> => {
    const told = await settle();
    const receipt = told?.receipt === undefined ? "" : `: nearside-receipt ${told.receipt}\n`;
    const cost = `: nearside-cost ${costText(told?.billing.amount ?? 0)}\n${receipt}\n`;
    controller.enqueue(new TextEncoder().encode(cost));
  };
  let isDone = false;
  const pass = async (chunk: Uint8Array, controller: Controller): Promise<void> => {
    const at = isDone ? -1 : eventAt(chunk, DONE);
    const before = at < 0 ? chunk : chunk.subarray(0, at);
    if (!isDone) await writer.write(before);
    if (before.length > 0) controller.enqueue(before);
    if (at < 0) return;
    isDone = true;
    await tell(controller);
    controller.enqueue(chunk.subarray(at));
  };
  const close = async (controller: Controller): Promise<void> => {
    const { outcome } = await ended;
    if (!isDone && (outcome === "ok" || stream.hasDelivered())) await tell(controller);
    controller.close();
  };
  // The last piece is on its way when the pool's stream has ended: only then is all of it in the digest.
  const { promise: over, resolve: isOver } = Promise.withResolvers<void>();
  context.signal.addEventListener("abort", () => isOver(), { once: true });
  const reader = body.getReader();
  const told = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return await pass(value, controller);
          await close(controller);
          isOver();
        } catch (error) {
          reader.cancel().catch(() => {});
          isOver();
          throw error;
        }
      },
      cancel(reason) {
        isOver();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  // The length of a stream is not known, and its cost in the headers would be.
  response.headers.delete("nearside-cost");
  response.headers.delete("x-litellm-response-cost");
  const finish = async (): Promise<void> => {
    const end = await ended;
    await over;
    // Whoever leaves after the last event has had it all.
    const how = isDone && end.outcome === "cancelled" ? { outcome: "ok", status } : end;
    const isDue = how.outcome === "ok" || stream.hasDelivered();
    const billing = isDue ? (await settle().catch(() => undefined))?.billing : undefined;
    charge.release();
    meter.end({ ...how, units: stream.units(), billing });
  };
  context.waitUntil(finish());
  return new Response(told, response);
}

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** Where an event begins with these bytes; chunks hold whole events. */
function eventAt(chunk: Uint8Array, bytes: Uint8Array): number {
  for (let at = chunk.indexOf(0x64); at >= 0; at = chunk.indexOf(0x64, at + 1)) {
    const isStart = at === 0 || chunk[at - 1] === 0x0a;
    if (isStart && bytes.every((byte, index) => chunk[at + index] === byte)) return at;
  }
  return -1;
}
