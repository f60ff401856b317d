import { NearsideError } from "./error.ts";

/** The end of a call: its time, or its caller's signal. */
export class Deadline {
  /** Milliseconds, by the clock of `performance`. */
  readonly #at: number;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #caller: AbortSignal | undefined;
  readonly #over = new AbortController();
  /** For fetch. */
  readonly signal: AbortSignal;

  constructor(timeoutMs: number, caller: AbortSignal | undefined) {
    this.#at = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#over.abort(), timeoutMs);
    this.#caller = caller;
    this.signal = caller ? AbortSignal.any([caller, this.#over.signal]) : this.#over.signal;
  }

  get leftMs(): number {
    return this.#at - performance.now();
  }

  /** The time is kept: what goes on has none of its own. */
  clear(): void {
    clearTimeout(this.#timer);
  }

  /** Waits for it, but not beyond the end: a fetch that was passed in may not know signals. */
  async within<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    const done = new AbortController();
    const over = new Promise<never>((_, reject) => {
      const leave = (): void => reject(this.errorOf(signal.reason));
      if (signal.aborted) leave();
      else signal.addEventListener("abort", leave, { once: true, signal: done.signal });
    });
    try {
      return await Promise.race([work, over]);
    } finally {
      done.abort();
    }
  }

  async wait(milliseconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await this.within(
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, milliseconds);
        }),
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** What a failed attempt means. */
  errorOf(cause: unknown): NearsideError {
    if (this.#caller?.aborted) {
      return new NearsideError("aborted", "The call was aborted.", { cause: this.#caller.reason });
    }
    if (this.#over.signal.aborted) {
      return new NearsideError("timeout", "The call's time is over.", { cause });
    }
    if (cause instanceof NearsideError) return cause;
    return new NearsideError("network_failed", "No answer came, or not all of it.", { cause });
  }
}
