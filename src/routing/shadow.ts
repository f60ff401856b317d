import type { UsageSender, Wait } from "../billing/send-usage.ts";
import type { Units } from "../billing/meter.ts";
import { digestOf } from "../billing/receipt.ts";
import type { ShadowEvent } from "../billing/usage-event.ts";
import type { Manifest } from "../catalog/manifest.ts";
import type { Context } from "../context.ts";
import { isInputRefusal, NearsideError } from "../errors.ts";
import { type Answer, compareAnswers } from "../rollout/compare/index.ts";
import type { HostContext, ModelHost } from "../runtime/host.ts";
import type { LoadedModel } from "../runtime/load-model.ts";
import type { Activity } from "../telemetry/activity.ts";
import type { ShadowChoice } from "./choose.ts";

/** What is asked of a model, whichever version does it. */
export interface Work<Input, Output> {
  /** The longest body that the edge takes for a version. */
  maxBodyBytes(manifest: Manifest): number;
  /** Checks a body as far as that is possible without the model. Leaves the bytes as they are. */
  decode(body: Uint8Array<ArrayBuffer>, manifest: Manifest): Input;
  run(model: LoadedModel, input: Input): Output;
  /** What a shadow's answer is compared with. */
  answerOf(output: Output): Answer;
  units(output: Output, input: Input): Units;
}

/** A request that was answered, for its shadow. */
export interface Answered<Input, Output> {
  readonly manifest: Manifest;
  readonly catalog: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly work: Work<Input, Output>;
  readonly answer: Answer;
  readonly units: Units;
}

/** Work computes on the thread that answers: a shadow begins when nobody was there for this long. */
const QUIET_MS = 5;
const POLL_MS = 2;
/** An isolate that is never quiet has no time for shadows. */
const PATIENCE_MS = 5_000;

/** Bodies and answers of pending shadows stand beside the models in the isolate's 128 MB. */
const MAX_PENDING = 2;
const MAX_HELD_BYTES = 4 * 1024 * 1024;

/** After its answer a request is kept for 30 seconds: a shadow that is older was dropped with it. */
const LOST_MS = 35_000;

interface Pending {
  readonly since: number;
  readonly bytes: number;
}

type Found = Pick<ShadowEvent, "outcome"> &
  Partial<Pick<ShadowEvent, "comparison" | "units" | "inputDigest">>;

/**
 * Runs another version on what a request brought, after its answer, and tells how much the two differ. A
 * shadow waits until the isolate is quiet, runs alone, takes only memory that is free, and whatever becomes
 * of it changes no answer. It is never billed.
 */
export class Shadows {
  readonly #host: ModelHost<LoadedModel>;
  readonly #activity: Activity;
  readonly #usage: UsageSender;
  readonly #wait: Wait;
  readonly #random: () => number;
  /** The oldest first: whose turn it is. */
  readonly #pending = new Set<Pending>();

  constructor(
    { host, activity, usage }: Pick<Context["isolate"], "host" | "activity" | "usage">,
    wait: Wait = (ms) => scheduler.wait(ms),
    random: () => number = Math.random,
  ) {
    this.#host = host;
    this.#activity = activity;
    this.#usage = usage;
    this.#wait = wait;
    this.#random = random;
  }

  /** Keeps what a shadow needs, for the share of requests that have one. Computes nothing before the answer. */
  offer<Input, Output>(
    context: Context,
    { manifest, rate }: ShadowChoice,
    answered: Answered<Input, Output>,
  ): void {
    // Without a queue nobody would learn what was found.
    if (!this.#usage.isOn || this.#random() >= rate) return;
    const tell = (found: Found): void =>
      this.#usage.add(eventOf(context, manifest, answered, found), context);
    const pending = this.#admit(answered.body.length, context.now());
    if (pending === undefined) {
      tell({ outcome: "skipped_busy" });
      return;
    }
    const shadow = async (): Promise<void> => {
      try {
        tell(await this.#run(context, manifest, answered, pending));
      } finally {
        this.#pending.delete(pending);
      }
    };
    context.waitUntil(shadow());
  }

  #admit(bytes: number, now: number): Pending | undefined {
    let held = bytes;
    for (const pending of this.#pending) {
      if (now - pending.since >= LOST_MS) this.#pending.delete(pending);
      else held += pending.bytes;
    }
    if (this.#pending.size >= MAX_PENDING || held > MAX_HELD_BYTES) return undefined;
    const pending = { since: now, bytes };
    this.#pending.add(pending);
    return pending;
  }

  async #run<Input, Output>(
    context: Context,
    manifest: Manifest,
    { manifest: answering, body, work, answer }: Answered<Input, Output>,
    pending: Pending,
  ): Promise<Found> {
    const guest: HostContext = {
      isGuest: true,
      now: () => context.now(),
      waitUntil: (promise: Promise<unknown>) => context.waitUntil(promise),
    };
    let inputDigest: string | undefined;
    try {
      if (!(await this.#turn(context, pending))) return { outcome: "skipped_busy" };
      if (!this.#host.hasRoomFor(manifest)) return { outcome: "skipped_memory" };
      inputDigest = await digestOf(body);
      if (!this.#host.isLoaded(manifest)) {
        if (!this.#host.hasRoomFor(manifest)) return { outcome: "skipped_memory" };
        await this.#host.use(manifest, guest, () => {});
      }
      // Digest and load let others in: once more.
      if (!(await this.#turn(context, pending))) return { outcome: "skipped_busy" };
      if (!this.#host.isLoaded(manifest)) return { outcome: "skipped_memory" };
      const { units, answer: other } = await this.#answerOf(manifest, work, body, guest);
      const comparison = compareAnswers(answering.task, answer, other);
      return { outcome: "compared", comparison, units, inputDigest };
    } catch (error) {
      const code = error instanceof NearsideError ? error.code : "internal";
      if (code === "isolate_over_budget") return { outcome: "skipped_memory" };
      const { name: model, version } = manifest;
      context.log.warn("shadow_failed", { code, model, version });
      return { outcome: "failed", ...(inputDigest !== undefined && { inputDigest }) };
    }
  }

  /** What the shadow's version makes of the input; a refusal is an answer, too, and so is a crash. */
  async #answerOf<Input, Output>(
    manifest: Manifest,
    work: Work<Input, Output>,
    body: Uint8Array<ArrayBuffer>,
    guest: HostContext,
  ): Promise<{ readonly answer: Answer; readonly units: Units }> {
    const refused = { answer: { form: "refused" }, units: {} } as const;
    if (body.length > work.maxBodyBytes(manifest)) return refused;
    try {
      const input = work.decode(body, manifest);
      const output = await this.#host.use(manifest, guest, (model) => work.run(model, input));
      return { answer: work.answerOf(output), units: work.units(output, input) };
    } catch (error) {
      const hasCrashed = error instanceof NearsideError && error.code === "instance_trapped";
      if (isInputRefusal(error) || hasCrashed) return refused;
      throw error;
    }
  }

  /** Waits for its turn in a quiet isolate. @returns whether it came */
  async #turn(context: Context, pending: Pending): Promise<boolean> {
    for (;;) {
      const now = context.now();
      if (this.#isFirst(pending, now) && this.#activity.quietFor(now) >= QUIET_MS) return true;
      if (now - pending.since >= PATIENCE_MS) return false;
      await this.#wait(POLL_MS);
    }
  }

  #isFirst(pending: Pending, now: number): boolean {
    for (const one of this.#pending) {
      if (one === pending) return true;
      if (now - one.since < LOST_MS) return false;
    }
    return false;
  }
}

function eventOf<Input, Output>(
  context: Context,
  { name, version }: Manifest,
  answered: Answered<Input, Output>,
  { outcome, units = {}, comparison, inputDigest }: Found,
): ShadowEvent {
  return {
    schema: 1,
    kind: "shadow",
    id: crypto.randomUUID(),
    at: context.now(),
    requestId: context.requestId,
    model: name,
    version,
    against: answered.manifest.version,
    catalog: answered.catalog,
    placement: "edge",
    units,
    unitsAgainst: answered.units,
    outcome,
    ...(comparison !== undefined && { comparison }),
    ...(inputDigest !== undefined && { inputDigest }),
    billed: false,
  };
}
