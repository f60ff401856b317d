import type { Manifest } from "../catalog/manifest.ts";
import type { Context } from "../context.ts";
import type { Placed } from "../routing/placement.ts";
import type { Billing } from "./ledger/event.ts";
import type { RequestEvent } from "./usage-event.ts";

/** What decided about a request. */
export interface Decision {
  readonly manifest: Manifest;
  readonly catalog: number;
  readonly reason: string;
  readonly flag?: string;
  readonly variant?: string;
}

export type Units = Readonly<Record<string, number>>;

/** How a request ended, for its event. */
export interface Outcome {
  /** `ok`, or the code of the error. */
  readonly outcome: string;
  readonly status: number;
  readonly units: Units;
  /** What it costs, and whom. */
  readonly billing?: Billing | undefined;
}

/**
 * Follows one request that a version was chosen for, and leaves one event of it for the queue.
 *
 * Its `milliseconds` go from the decoded input to the encoded answer: loading, waiting for it, inference,
 * encoding. In production the clock stands still while code computes and moves on with I/O. So when it has
 * not moved since the model began to compute, it is read again at the first I/O after the answer: that
 * adds what the isolate did until then, and is the nearest that a Worker can see. The CPU time itself is in
 * the Tail event.
 */
export class Meter {
  /** Of the event: the receipt names it. */
  readonly eventId = crypto.randomUUID();
  readonly #context: Context;
  readonly #decision: Decision;
  #placed: Placed = { placement: "edge", reason: "default" };
  #start: RequestEvent["start"];
  #inputAt: number | undefined;
  #modelAt: number | undefined;
  #answeredAt: number | undefined;

  constructor(context: Context, decision: Decision) {
    this.#context = context;
    this.#decision = decision;
  }

  /** The input is decoded. */
  inputReady(): void {
    this.#inputAt = this.#context.clock();
  }

  /** Where it is about to run: once more when it failed where it was placed first. */
  placed(placed: Placed): void {
    this.#placed = placed;
    this.#start = undefined;
    this.#modelAt = undefined;
  }

  /** The model is there and about to compute. */
  modelReady(start: RequestEvent["start"]): void {
    this.#start = start;
    this.#modelAt = this.#context.clock();
  }

  /** The answer is ready: fixes the time of the event, which the receipt and the price are of, too. */
  answered(): number {
    return (this.#answeredAt ??= this.#context.now());
  }

  /** The answer or the refusal is ready: to be called once. */
  end(outcome: Outcome): void {
    const { usage } = this.#context.isolate;
    if (!usage.isOn) return;
    const at = this.answered();
    const end = this.#context.clock();
    if (end !== this.#modelAt) {
      usage.add(this.#event(outcome, at, end), this.#context);
      return;
    }
    const later = async (): Promise<void> => {
      await usage.afterTheAnswer();
      usage.add(this.#event(outcome, at, this.#context.clock()), this.#context);
    };
    this.#context.waitUntil(later());
  }

  #event({ outcome, status, units, billing }: Outcome, at: number, end: number): RequestEvent {
    const { manifest, catalog, reason, flag, variant } = this.#decision;
    const { placement, reason: placementReason } = this.#placed;
    return {
      schema: 1,
      kind: "request",
      id: this.eventId,
      at,
      requestId: this.#context.requestId,
      model: manifest.name,
      version: manifest.version,
      catalog,
      placement,
      ...(placementReason !== "default" && { placementReason }),
      units,
      ...(this.#start !== undefined && { start: this.#start }),
      milliseconds: this.#inputAt === undefined ? 0 : Math.max(0, end - this.#inputAt),
      ...(flag !== undefined && { flag }),
      ...(variant !== undefined && { variant }),
      reason,
      outcome,
      status,
      billed: outcome === "ok",
      ...(billing !== undefined && { billing }),
    };
  }
}
