/**
 * Phases of one request for the `Server-Timing` header (https://www.w3.org/TR/server-timing/).
 * In production the clock stands still while code computes, so only phases with I/O show a duration there.
 */
export class Timing {
  readonly #now: () => number;
  readonly #phases = new Map<string, number>();

  /** @param now milliseconds, monotonic */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Times `phase`; the same name twice adds up. */
  async measure<T>(name: string, phase: () => T | Promise<T>): Promise<T> {
    const start = this.#now();
    try {
      return await phase();
    } finally {
      this.add(name, this.#now() - start);
    }
  }

  measureSync<T>(name: string, phase: () => T): T {
    const start = this.#now();
    try {
      return phase();
    } finally {
      this.add(name, this.#now() - start);
    }
  }

  add(name: string, milliseconds: number): void {
    this.#phases.set(name, (this.#phases.get(name) ?? 0) + milliseconds);
  }

  toString(): string {
    let header = "";
    for (const [name, milliseconds] of this.#phases) {
      header += `${header === "" ? "" : ", "}${name};dur=${Math.round(milliseconds * 1000) / 1000}`;
    }
    return header;
  }
}
