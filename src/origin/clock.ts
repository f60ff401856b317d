import type { Clock } from "./admission.ts";

/** The machine's. In production it stands still while code computes; only I/O moves it on. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Waits. @throws the signal's reason, when the caller leaves meanwhile */
export function pause(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => {
    stop();
    reject(signal.reason as Error);
  };
  const stop = clock.after(milliseconds, () => {
    signal.removeEventListener("abort", onAbort);
    resolve();
  });
  signal.addEventListener("abort", onAbort, { once: true });
  return promise;
}
