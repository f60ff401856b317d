/** Time, as far as waiting needs it. */
export interface Clock {
  now(): number;
  /** Calls back once, after so many milliseconds. @returns what calls it off */
  after(milliseconds: number, callback: () => void): () => void;
}

export interface AdmissionLimits {
  readonly maxInFlight: number;
  readonly queue: { readonly length: number; readonly waitMs: number };
}

export interface AdmissionRequest {
  /** 0 is the highest. */
  readonly priority: number;
  /** When an answer would be too late, in the clock's milliseconds. */
  readonly deadline?: number;
  /** The caller left. */
  readonly signal?: AbortSignal;
}

export type RefusalReason = "queue_full" | "queue_timeout";

/** Longer would be a guess about another situation. */
const LONGEST_RETRY_AFTER_SECONDS = 30;
/** How much of the average the newest request is. */
const HOLD_SMOOTHING = 0.1;

/** The pool is full, for this request at least. */
export class AdmissionRefused extends Error {
  override readonly name = "AdmissionRefused";
  readonly reason: RefusalReason;
  readonly retryAfterSeconds: number;

  constructor(reason: RefusalReason, retryAfterSeconds: number) {
    super(`The pool's ${reason === "queue_full" ? "queue is full" : "queue took too long"}.`);
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

interface Waiter {
  readonly priority: number;
  readonly expires: number;
  readonly admit: () => void;
  readonly refuse: (error: unknown) => void;
}

/**
 * At most so many requests of a pool in flight, and a bounded queue for the rest: by priority, then by arrival.
 * When the queue is full, a request of higher priority takes the place of the last one.
 */
export class Admission {
  readonly #clock: Clock;
  #limits: AdmissionLimits;
  #inFlight = 0;
  /** In the order in which they'll be admitted. */
  #waiting: Waiter[] = [];
  #holdMs = 1_000;

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** New limits. Who is in stays in. */
  configure(limits: AdmissionLimits): void {
    this.#limits = limits;
    while (this.#waiting.length > limits.queue.length) this.#refuseLast();
    this.#admitNext();
  }

  /**
   * Waits for a place.
   *
   * @returns what gives the place back: to be called when the request is over, whatever became of it
   * @throws AdmissionRefused, or the signal's reason
   */
  async enter({ priority, deadline, signal }: AdmissionRequest): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#inFlight >= this.#limits.maxInFlight) await this.#wait(priority, deadline, signal);
    else this.#inFlight++;
    const entered = this.#clock.now();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#holdMs += (this.#clock.now() - entered - this.#holdMs) * HOLD_SMOOTHING;
      this.#inFlight--;
      this.#admitNext();
    };
  }

  async #wait(priority: number, deadline = Infinity, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    const waitMs = Math.min(this.#limits.queue.waitMs, deadline - now);
    if (waitMs <= 0) throw this.#refusal("queue_timeout");
    if (this.#waiting.length >= this.#limits.queue.length) {
      const last = this.#waiting.at(-1);
      if (last === undefined || last.priority <= priority) throw this.#refusal("queue_full");
      this.#refuseLast();
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { priority, expires: now + waitMs, admit: resolve, refuse: reject };
    const behind = this.#waiting.findIndex((other) => other.priority > priority);
    this.#waiting.splice(behind === -1 ? this.#waiting.length : behind, 0, waiter);
    const leave = (error: unknown): void => {
      const at = this.#waiting.indexOf(waiter);
      if (at !== -1) this.#waiting.splice(at, 1);
      reject(error);
    };
    const onAbort = (): void => leave(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const stop = this.#clock.after(waitMs, () => leave(this.#refusal("queue_timeout")));
    try {
      await promise;
    } finally {
      stop();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #admitNext(): void {
    while (this.#inFlight < this.#limits.maxInFlight) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      // A timer may be late.
      if (this.#clock.now() >= next.expires) next.refuse(this.#refusal("queue_timeout"));
      else {
        // Here and not by the waiter: until it wakes, another could come in.
        this.#inFlight++;
        next.admit();
      }
    }
  }

  #refuseLast(): void {
    this.#waiting.pop()?.refuse(this.#refusal("queue_full"));
  }

  /** With the time in which the queue will have emptied, going by what requests took so far. */
  #refusal(reason: RefusalReason): AdmissionRefused {
    const { maxInFlight } = this.#limits;
    const seconds = (this.#holdMs * (this.#waiting.length + 1)) / maxInFlight / 1_000;
    return new AdmissionRefused(
      reason,
      Math.min(LONGEST_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(seconds))),
    );
  }
}
