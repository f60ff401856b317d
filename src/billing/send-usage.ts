import type { Log } from "../telemetry/log.ts";
import { type UsageEvent, bounded } from "./usage-event.ts";

/** The part of Cloudflare's queue that events need. */
export interface UsageQueue {
  sendBatch(messages: { readonly body: UsageEvent }[]): Promise<unknown>;
}

/** What a request lends to the sender. */
export interface SendContext {
  readonly log: Log;
  now(): number;
  waitUntil(promise: Promise<unknown>): void;
}

export interface UsageStats {
  readonly sent: number;
  readonly lost: number;
  /** What the queue has not taken yet. */
  readonly waiting: number;
}

export type Wait = (milliseconds: number) => Promise<unknown>;

/** A lone event leaves soon; where more came meanwhile, the next are gathered for longer: each call costs. */
const LINGER_MS = 5;
const BUSY_LINGER_MS = 50;

/** The queue's own limit, with 256 KB: an event has 0.6 KB, a shadow 20 KB at most. */
const MAX_BATCH_EVENTS = 100;
const MAX_BATCH_SHADOWS = 10;

/** After a failure: doubled each time, and never as long as a stall. */
const RETRY_AFTER_MS = 100;
const MAX_RETRY_MS = 3_200;

/** 22 s in all: a request's work may go on for 30 s after its answer. Then the next request's turn tries again. */
const MAX_RETRIES = 10;

/** The queue refuses this one event and takes others: so often, or it is only down now and then. */
const MAX_REFUSALS = 5;

/** The request that sends was cancelled, or the queue hangs, when nothing has moved for this long. */
const STALL_MS = 5_000;

/** An isolate keeps no more than 1.2 MB of events that the queue does not take. */
const MAX_WAITING_EVENTS = 2_000;

interface Waiting {
  readonly event: UsageEvent;
  refusals: number;
  /** How many had been sent when it was last refused alone. */
  sentThen: number;
}

interface Turn {
  movedAt: number;
}

/**
 * Sends usage events to the queue, after the answer and never in its way. One request at a time sends for
 * all: I/O belongs to a request, so when that one is dropped the next event's request takes over, and may
 * send again what had arrived. Whoever counts, counts each id once.
 *
 * What the queue does not take is kept for as long as the isolate lives, and tried again by each later request.
 * Where there is too much of it, shadows go first, then what nobody pays for, then the newest bills. A batch that
 * fails is sent again in smaller parts, so that an event that the queue never takes loses only itself.
 */
export class UsageSender {
  readonly #queue: UsageQueue | undefined;
  readonly #wait: Wait;
  readonly #requests = new Set<Waiting>();
  /** Apart: what is compared must not hold up what is paid. */
  readonly #shadows = new Set<Waiting>();
  #turn: Turn | undefined;
  #largest = MAX_BATCH_EVENTS;
  #sent = 0;
  #lost = 0;

  /** @param queue without one nothing is sent, and nothing is kept */
  constructor(queue: UsageQueue | undefined, wait: Wait = (ms) => scheduler.wait(ms)) {
    this.#queue = queue;
    this.#wait = wait;
  }

  /** Whether there is a queue. */
  get isOn(): boolean {
    return this.#queue !== undefined;
  }

  get stats(): UsageStats {
    return { sent: this.#sent, lost: this.#lost, waiting: this.#waiting };
  }

  /** Resolves at the first I/O that comes after the answer: the clock has moved on. */
  async afterTheAnswer(): Promise<void> {
    await this.#wait(0);
  }

  /** Takes an event to be sent. Never throws. */
  add(event: UsageEvent, context: SendContext): void {
    if (this.#queue === undefined) return;
    if (this.#waiting >= MAX_WAITING_EVENTS && !this.#makeRoomFor(event, context.log)) return;
    const list = event.kind === "shadow" ? this.#shadows : this.#requests;
    list.add({ event: bounded(event), refusals: 0, sentThen: 0 });
    const now = context.now();
    if (this.#turn !== undefined && now - this.#turn.movedAt < STALL_MS) return;
    const turn = { movedAt: now };
    this.#turn = turn;
    context.waitUntil(this.#sendAll(this.#queue, turn, context));
  }

  get #waiting(): number {
    return this.#requests.size + this.#shadows.size;
  }

  /** @returns whether there is room; it is the event itself that is lost when there is none */
  #makeRoomFor(event: UsageEvent, log: Log): boolean {
    const cause = new Error("The queue takes no events.");
    const [shadow] = this.#shadows;
    const least = shadow ?? [...this.#requests].find((waiting) => !isBill(waiting.event));
    if (least === undefined || (!isBill(event) && least.event.kind !== "shadow")) {
      this.#lose(event, log, cause);
      return false;
    }
    this.#shadows.delete(least);
    this.#requests.delete(least);
    this.#lose(least.event, log, cause);
    return true;
  }

  async #sendAll(queue: UsageQueue, turn: Turn, context: SendContext): Promise<void> {
    await this.#wait(LINGER_MS);
    let failures = 0;
    // A bill that the queue never takes must not hold up the shadows, either.
    let isRefused = false;
    while (this.#waiting > 0) {
      if (this.#turn !== turn) return;
      turn.movedAt = context.now();
      const isTurnOfShadows: boolean =
        this.#requests.size === 0 || (isRefused && this.#shadows.size > 0);
      const list = isTurnOfShadows ? this.#shadows : this.#requests;
      const batch = this.#next(list);
      const failure = await send(queue, batch);
      // Taken over meanwhile: the batch is the other's.
      if (this.#turn !== turn) return;
      if (failure === undefined) {
        failures = 0;
        for (const waiting of batch) list.delete(waiting);
        this.#sent += batch.length;
        this.#largest = Math.min(MAX_BATCH_EVENTS, this.#largest * 2);
        const left = this.#waiting;
        if (left > 0 && left < MAX_BATCH_EVENTS) await this.#wait(BUSY_LINGER_MS);
        continue;
      }
      this.#largest = Math.max(1, Math.floor(batch.length / 2));
      const [only] = batch;
      isRefused = batch.length === 1 && !isTurnOfShadows;
      if (only !== undefined && batch.length === 1) {
        this.#refused(list, only, context.log, failure.cause);
      }
      if (++failures > MAX_RETRIES) {
        context.log.error("usage_waits", failure.cause, { events: this.#waiting });
        break;
      }
      await this.#wait(Math.min(MAX_RETRY_MS, RETRY_AFTER_MS * 2 ** (failures - 1)));
    }
    if (this.#turn === turn) this.#turn = undefined;
  }

  #next(list: ReadonlySet<Waiting>): Waiting[] {
    const most = list === this.#shadows ? MAX_BATCH_SHADOWS : MAX_BATCH_EVENTS;
    return [...list].slice(0, Math.min(most, this.#largest));
  }

  /** It goes to the end; when others got through again and again and it did not, it is the event's own fault. */
  #refused(list: Set<Waiting>, waiting: Waiting, log: Log, cause: unknown): void {
    list.delete(waiting);
    if (waiting.refusals === 0 || this.#sent > waiting.sentThen) waiting.refusals++;
    waiting.sentThen = this.#sent;
    if (waiting.refusals >= MAX_REFUSALS) this.#lose(waiting.event, log, cause);
    else list.add(waiting);
  }

  #lose({ id }: UsageEvent, log: Log, cause: unknown): void {
    this.#lost++;
    log.error("usage_lost", cause, { id });
  }
}

async function send(
  queue: UsageQueue,
  batch: readonly Waiting[],
): Promise<{ readonly cause: unknown } | undefined> {
  try {
    await queue.sendBatch(batch.map(({ event }) => ({ body: event })));
    return undefined;
  } catch (cause) {
    return { cause };
  }
}

const isBill = (event: UsageEvent): boolean =>
  event.kind === "request" && event.billing !== undefined;
