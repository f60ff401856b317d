/** One holder's share of a budget. */
export interface Holding {
  readonly bytes: number;
  /** Takes `bytes` in all if that fits, evicting if that helps. @returns whether it fits */
  tryResize(bytes: number): boolean;
  /** Takes `bytes` in all, whether it fits or not: for what is already so. */
  resize(bytes: number): void;
  /** Gives everything back, for good: later calls change nothing. */
  close(): void;
}

/** What a waiter lends to the wait. */
export interface WaitContext {
  now(): number;
  /** Called at least once per `WAIT_SLICE_MS`: the waiter is alive. */
  onProgress(): void;
}

const WAIT_SLICE_MS = 1_000;

/**
 * Memory of the isolate, counted by hand: local workerd enforces no limit and production kills without a
 * word. Whoever asks for more first makes the idle ones leave.
 */
export class MemoryBudget {
  readonly limit: number;
  readonly #evict: () => boolean;
  readonly #idleBytes: () => number;
  #held = 0;
  #waiting = new Set<() => void>();

  /**
   * @param limit bytes
   * @param evict frees one idle holding; false when there is none
   * @param idleBytes what evicting all idle holdings would free
   */
  constructor(limit: number, evict: () => boolean, idleBytes: () => number) {
    this.limit = limit;
    this.#evict = evict;
    this.#idleBytes = idleBytes;
  }

  get held(): number {
    return this.#held;
  }

  /** @param mayEvict whether others may be made to leave for this holding; asked each time */
  open(mayEvict: () => boolean = () => true): Holding {
    let bytes = 0;
    let closed = false;
    const resize = (next: number): void => {
      if (closed) return;
      this.#held += next - bytes;
      bytes = next;
    };
    return {
      get bytes() {
        return bytes;
      },
      resize,
      tryResize: (next) => {
        if (closed || !this.#makeRoom(next - bytes, mayEvict)) return false;
        resize(next);
        return true;
      },
      close: () => {
        resize(0);
        closed = true;
      },
    };
  }

  /** Whether `more` bytes are free without anybody leaving. */
  isFree(more: number): boolean {
    return this.#held + more <= this.limit;
  }

  /** Like `tryResize`, but waits for room until `deadline`. */
  async reserve(
    holding: Holding,
    bytes: number,
    deadline: number,
    context: WaitContext,
  ): Promise<boolean> {
    while (!holding.tryResize(bytes)) {
      const left = deadline - context.now();
      if (left <= 0) return false;
      await this.#change(Math.min(left, WAIT_SLICE_MS));
      context.onProgress();
    }
    return true;
  }

  /** To be called when something became idle or smaller. */
  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  #makeRoom(more: number, mayEvict: () => boolean): boolean {
    if (more <= 0 || this.isFree(more)) return true;
    if (!mayEvict()) return false;
    // What can't fit in any case makes nobody leave.
    if (this.#held - this.#idleBytes() + more > this.limit) return false;
    while (!this.isFree(more)) {
      if (!this.#evict()) return false;
    }
    return true;
  }

  async #change(milliseconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, milliseconds);
        this.#waiting.add(resolve);
      });
    } finally {
      // Here and not in the waker: a timer belongs to the request that set it.
      clearTimeout(timer);
    }
  }
}
