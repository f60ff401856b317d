import { WIRE_FORMS } from "./problem.ts";

/** How a body that was passed on has ended, for the request's event. */
export interface End {
  /** `ok`, or the code of the error. */
  readonly outcome: string;
  readonly status: number;
}

const CANCELLED: End = { outcome: "cancelled", status: WIRE_FORMS.cancelled.status };
const BROKEN: End = { outcome: "origin_failed", status: WIRE_FORMS.origin_failed.status };

/** Looks at a body on its way, and may change it. */
export interface Filter {
  /** @returns what goes on of a chunk and those before it; may be empty */
  push(chunk: Uint8Array): Uint8Array;
  /** What is left at the end. */
  end(): Uint8Array;
  /** What the caller gets when the body breaks off; without it the caller's breaks off, too. */
  broken?(): Uint8Array;
}

/**
 * Passes a body on as it comes: a chunk is read when the one before it has been taken, and whoever stops
 * taking stops the source.
 *
 * @param status of the answer
 * @param signal aborted when the caller leaves
 */
export function passThrough(
  source: ReadableStream<Uint8Array>,
  status: number,
  signal: AbortSignal,
  filter?: Filter,
): { readonly body: ReadableStream<Uint8Array>; readonly ended: Promise<End> } {
  const reader = source.getReader();
  const { promise: ended, resolve } = Promise.withResolvers<End>();
  const leave = (): void => {
    resolve(CANCELLED);
    reader.cancel().catch(() => {});
  };
  signal.addEventListener("abort", leave, { once: true });
  void ended.then(() => signal.removeEventListener("abort", leave));
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            const { done, value } = await reader.read();
            const rest = done ? filter?.end() : (filter?.push(value) ?? value);
            if (rest !== undefined && rest.length > 0) controller.enqueue(rest);
            if (done) {
              resolve({ outcome: "ok", status });
              controller.close();
              return;
            }
            if (rest !== undefined && rest.length > 0) return;
          }
        } catch (error) {
          resolve(BROKEN);
          reader.cancel().catch(() => {});
          const last = filter?.broken?.();
          if (last === undefined) throw error;
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
