import { Deadline } from "./deadline.ts";
import { type NearsideError, invalidInput, refusalOf } from "./error.ts";
import { type Meta, metaOf } from "./meta.ts";
import { RetryBudget, retryDelayMs } from "./retry.ts";

/** The part of `fetch` that is used: a service binding's will do. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface NearsideOptions {
  /** The edge: `https://edge.example.com`. */
  readonly baseUrl: string;
  /** `nsk_live_…`, or a client token. */
  readonly key?: string | undefined;
  /** The platform's own when absent. */
  readonly fetch?: Fetch | undefined;
  /** How often a call may be made again; 2 when absent. All calls together make at most a tenth of them again. */
  readonly retries?: number | undefined;
  /** For a whole call, retries and pauses included; 30,000 when absent. A stream must have begun by then. */
  readonly timeoutMs?: number | undefined;
  /** Whom calls are for: the same user gets the same variant of a model everywhere. */
  readonly user?: string | undefined;
}

/** What every call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly retries?: number | undefined;
  readonly user?: string | undefined;
  /** Where the model should run. */
  readonly placement?: "edge" | "origin" | undefined;
  /**
   * Calls with the same key are answered, and billed, once. Made up for each call that could be made again, which
   * costs the edge a look at the account's ledger; `false` leaves it out, and a call whose answer got lost is then
   * not made again.
   */
  readonly idempotencyKey?: string | false | undefined;
  /** Instead of the client's own of the same names. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A request as it goes over the wire. */
export interface Wire {
  /** GET when there is no body. */
  readonly path: string;
  readonly body?: Uint8Array<ArrayBuffer> | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** `safe` costs nothing, and changes nothing; a `stream` can't be answered twice. */
  readonly kind?: "safe" | "stream" | undefined;
}

/** An answer and the bytes of both sides, which its receipt speaks of. */
export interface Reply {
  readonly meta: Meta;
  readonly request: Uint8Array<ArrayBuffer>;
  readonly response: Uint8Array<ArrayBuffer>;
}

const TIMEOUT_MS = 30_000;
/** The most that the edge takes; timers have an end, too. */
const MAX_TIMEOUT_MS = 3_600_000;
const RETRIES = 2;
const EMPTY = new Uint8Array();

/** Makes calls: deadlines, retries, keys, errors. */
export class Caller {
  readonly #options: NearsideOptions;
  readonly #fetch: Fetch;
  readonly #budget = new RetryBudget();

  constructor(options: NearsideOptions) {
    this.#options = { ...options, baseUrl: options.baseUrl.replace(/\/+$/, "") };
    // Called as a function: a platform's own does not work as a method of something else.
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
  }

  /** A call whose answer is read whole. @throws NearsideError */
  async call(wire: Wire, options: CallOptions): Promise<Reply> {
    const deadline = this.#deadline(options);
    try {
      return await this.#try(wire, options, deadline, async (response, attempts) => ({
        meta: metaOf(response, attempts),
        request: wire.body ?? EMPTY,
        response: new Uint8Array(await response.arrayBuffer()),
      }));
    } finally {
      deadline.clear();
    }
  }

  /** A call whose answer is read as it comes, by the caller's signal alone. @throws NearsideError */
  async open(wire: Wire, options: CallOptions): Promise<OpenReply> {
    const deadline = this.#deadline(options);
    try {
      return await this.#try(wire, options, deadline, async (response, attempts) => ({
        meta: metaOf(response, attempts),
        body: response.body ?? new ReadableStream(),
        deadline,
      }));
    } finally {
      deadline.clear();
    }
  }

  #deadline({ timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS, signal }: CallOptions): Deadline {
    return new Deadline(Math.min(timeoutMs, MAX_TIMEOUT_MS), signal);
  }

  async #try<T>(
    wire: Wire,
    options: CallOptions,
    deadline: Deadline,
    read: (response: Response, attempts: number) => Promise<T>,
  ): Promise<T> {
    const { retries = this.#options.retries ?? RETRIES } = options;
    const url = this.#url(wire);
    const headers = this.#headers(wire, options, retries);
    const isSafe =
      wire.kind === "safe" ||
      headers.has("idempotency-key") ||
      (this.#options.key === undefined && wire.kind !== "stream");
    this.#budget.deposit();
    for (let attempt = 1; ; attempt++) {
      try {
        return await deadline.within(
          this.#once(url, wire.body, headers, deadline, (r) => read(r, attempt)),
        );
      } catch (thrown) {
        const error: NearsideError = deadline.errorOf(thrown);
        const delay = retryDelayMs(error, attempt, isSafe, Math.random);
        const isOver = delay === undefined || attempt > retries || delay >= deadline.leftMs;
        if (isOver || !this.#budget.withdraw()) throw error;
        await deadline.wait(delay);
      }
    }
  }

  async #once<T>(
    url: string,
    body: Wire["body"],
    headers: Headers,
    deadline: Deadline,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    headers.set("nearside-timeout-ms", String(Math.max(1, Math.floor(deadline.leftMs))));
    const response = await this.#fetch(url, {
      method: body === undefined ? "GET" : "POST",
      headers,
      signal: deadline.signal,
      ...(body !== undefined && { body }),
    });
    if (!response.ok) throw await refusalOf(response, Date.now());
    return read(response);
  }

  #url({ path }: Wire): string {
    const url = this.#options.baseUrl + path;
    if (/^https?:/i.test(url) && URL.canParse(url)) return url;
    throw invalidInput("baseUrl", `must be an address that begins with "https://"`);
  }

  #headers(wire: Wire, options: CallOptions, retries: number): Headers {
    const { key, user: everyone } = this.#options;
    const { user = everyone, placement, idempotencyKey } = options;
    const mayRepeat = key !== undefined && retries > 0 && wire.kind === undefined;
    const once = idempotencyKey ?? (mayRepeat && randomKey());
    const own = {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(user !== undefined && { "nearside-user": user }),
      ...(placement !== undefined && { "nearside-placement": placement }),
      ...(once !== false && { "idempotency-key": once }),
      ...wire.headers,
    };
    const headers = new Headers();
    // One by one, because together names that differ in case would both be sent.
    for (const [name, value] of [own, options.headers ?? {}].flatMap(Object.entries<string>)) {
      // Not every platform refuses them; its error would tell a secret.
      if (/[\u0100-\uffff]/.test(value)) throw unsendable(name);
      try {
        headers.set(name, value);
      } catch {
        throw unsendable(name);
      }
    }
    return headers;
  }
}

const unsendable = (header: string): NearsideError =>
  invalidInput(header, "must be what a header can carry, which is Latin letters alone");

/** `crypto.randomUUID` is for secure contexts alone, which a page in development may not be. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join(
    "-",
  );
}

/** An answer that has begun. */
export interface OpenReply {
  readonly meta: Meta;
  readonly body: ReadableStream<Uint8Array>;
  readonly deadline: Deadline;
}
