import type { NearsideError } from "../errors.ts";

/** One try at a load; another request may replace it by a newer one. */
export interface Attempt {
  isCurrent(): boolean;
  /** @throws SupersededError when this attempt was replaced */
  progress(now: number): void;
}

/** Ends an attempt that nobody waits for any more. */
export class SupersededError extends Error {
  override readonly name = "SupersededError";
}

export interface WaiterContext {
  now(): number;
}

/**
 * A load that many requests wait for and one performs.
 *
 * In Workers, I/O belongs to the request that started it and may stop with it. So nobody here waits for
 * the performer alone: each waiter also watches a timer of its own, and takes the load over when it has
 * shown no progress for `stallMs`.
 */
export class SharedLoad {
  readonly #stallMs: number;
  readonly #outcome = Promise.withResolvers<void>();
  #current = 0;
  #progressAt = 0;

  constructor(stallMs: number) {
    this.#stallMs = stallMs;
    // Nobody may be waiting when it fails.
    this.#outcome.promise.catch(() => {});
  }

  begin(now: number): Attempt {
    const number = ++this.#current;
    this.#progressAt = now;
    return {
      isCurrent: () => this.#current === number,
      progress: (at) => {
        if (this.#current !== number)
          throw new SupersededError("Another request took this load over.");
        this.#progressAt = at;
      },
    };
  }

  settle(attempt: Attempt, error?: NearsideError): void {
    if (!attempt.isCurrent()) return;
    if (error === undefined) this.#outcome.resolve();
    else this.#outcome.reject(error);
  }

  /** Resolves when the load is done, rejects when it failed. */
  async settled(context: WaiterContext, takeOver: () => void): Promise<void> {
    const done = this.#outcome.promise.then(() => true);
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const pause = new Promise<false>((resolve) => {
        timer = setTimeout(() => resolve(false), this.#stallMs);
      });
      try {
        if (await Promise.race([done, pause])) return;
      } finally {
        clearTimeout(timer);
      }
      if (context.now() - this.#progressAt >= this.#stallMs) takeOver();
    }
  }
}
