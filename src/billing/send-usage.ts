import type { Log } from "../telemetry/log.ts";
import type { UsageEvent } from "./usage-event.ts";

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
}

export type Wait = (milliseconds: number) => Promise<unknown>;

/** A lone event leaves soon; where more came meanwhile, the next are gathered for longer: each call costs. */
const LINGER_MS = 5;
const BUSY_LINGER_MS = 50;

/** The queue's own limit, with 256 KB: an event has 0.6 KB, and shadows with many distances are rare. */
const MAX_BATCH_EVENTS = 100;

const RETRY_AFTER_MS = 100;

/** The request that sends was cancelled, or the queue hangs, when nothing has moved for this long. */
const STALL_MS = 5_000;

/** An isolate keeps no more than 1.2 MB of events that the queue does not take. */
const MAX_WAITING_EVENTS = 2_000;

/**
 * Sends usage events to the queue, after the answer and never in its way. One request at a time sends for
 * all: I/O belongs to a request, so when that one is dropped the next event's request takes over, and may
 * send again what had arrived. Whoever counts, counts each id once.
 */
export class UsageSender {
  readonly #queue: UsageQueue | undefined;
  readonly #wait: Wait;
  readonly #waiting: UsageEvent[] = [];
  #turn: { movedAt: number } | undefined;
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
    return { sent: this.#sent, lost: this.#lost };
  }

  /** Resolves at the first I/O that comes after the answer: the clock has moved on. */
  async afterTheAnswer(): Promise<void> {
    await this.#wait(0);
  }

  /** Takes an event to be sent. Never throws. */
  add(event: UsageEvent, context: SendContext): void {
    if (this.#queue === undefined) return;
    if (this.#waiting.length >= MAX_WAITING_EVENTS) {
      this.#lose([event], context.log, new Error("The queue takes no events."));
      return;
    }
    this.#waiting.push(event);
    const now = context.now();
    if (this.#turn !== undefined && now - this.#turn.movedAt < STALL_MS) return;
    const turn = { movedAt: now };
    this.#turn = turn;
    context.waitUntil(this.#sendAll(this.#queue, turn, context));
  }

  async #sendAll(
    queue: UsageQueue,
    turn: { movedAt: number },
    context: SendContext,
  ): Promise<void> {
    await this.#wait(LINGER_MS);
    while (this.#waiting.length > 0) {
      if (this.#turn !== turn) return;
      turn.movedAt = context.now();
      const batch = this.#waiting.slice(0, MAX_BATCH_EVENTS);
      const failure = await this.#send(queue, batch);
      // Taken over meanwhile: the batch is the other's.
      if (this.#turn !== turn) return;
      this.#waiting.splice(0, batch.length);
      if (failure === undefined) this.#sent += batch.length;
      else this.#lose(batch, context.log, failure.cause);
      const left = this.#waiting.length;
      if (left > 0 && left < MAX_BATCH_EVENTS) await this.#wait(BUSY_LINGER_MS);
    }
    if (this.#turn === turn) this.#turn = undefined;
  }

  async #send(
    queue: UsageQueue,
    batch: readonly UsageEvent[],
  ): Promise<{ readonly cause: unknown } | undefined> {
    const messages = batch.map((body) => ({ body }));
    try {
      await queue.sendBatch(messages);
    } catch {
      await this.#wait(RETRY_AFTER_MS);
      try {
        await queue.sendBatch(messages);
      } catch (cause) {
        return { cause };
      }
    }
    return undefined;
  }

  #lose(events: readonly UsageEvent[], log: Log, cause: unknown): void {
    this.#lost += events.length;
    for (const { id } of events) log.error("usage_lost", cause, { id });
  }
}
