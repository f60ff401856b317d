import { DurableObject } from "cloudflare:workers";

import type { UsageEvent } from "../../src/billing/usage-event.ts";
import { NearsideError } from "../../src/errors.ts";
import { RolloutController } from "../../src/rollout/controller.ts";
import type { RolloutPlan } from "../../src/rollout/plan.ts";
import { SqlRolloutStore } from "../../src/rollout/sql-store.ts";
import type {
  RolloutAction,
  RolloutsOfModel,
  RolloutView,
  RpcResult,
} from "../../src/rollout/view.ts";
import { consoleLog } from "../../src/telemetry/log.ts";
import type { Env } from "./env.ts";

/** A running rollout is looked at so often. */
const TICK_MS = 5_000;

/** An event that comes again within this time is known: queues give up long before. */
const SEEN_MS = 60 * 60 * 1000;

/** The rollouts and shadows of one model; its name is the model's. */
export class ModelRollouts extends DurableObject<Env> implements RolloutsOfModel {
  readonly #store: SqlRolloutStore;
  readonly #controller: RolloutController;
  /** The last of what runs one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#store = new SqlRolloutStore(state.storage.sql);
    this.#controller = new RolloutController({
      model: state.id.name ?? "",
      store: this.#store,
      catalog: { bucket: env.MODELS, namespace: env.CATALOG },
      audit: (entry) => env.AUDIT_LOG.getByName("audit").append(entry),
      now: () => Date.now(),
      newId: () => crypto.randomUUID(),
    });
  }

  start(
    _model: string,
    plan: RolloutPlan,
    actor: string,
    dryRun: boolean,
  ): Promise<RpcResult<RolloutView>> {
    return this.#answered(() => this.#controller.start(plan, actor, dryRun));
  }

  act(
    action: RolloutAction,
    reason: string | undefined,
    actor: string,
    etag: string,
    dryRun: boolean,
  ): Promise<RpcResult<RolloutView>> {
    return this.#answered(() => this.#controller.act(action, reason, actor, etag, dryRun));
  }

  async current(): Promise<RolloutView | null> {
    await this.#seeToAlarm();
    return this.#controller.current() ?? null;
  }

  async list(): Promise<RolloutView[]> {
    return this.#controller.list();
  }

  async shadows(): Promise<unknown[]> {
    return this.#controller.shadows();
  }

  async isRunning(): Promise<boolean> {
    return this.#controller.isRunning();
  }

  async record(events: UsageEvent[]): Promise<void> {
    this.#controller.record(events);
    await this.#seeToAlarm();
  }

  override async alarm(): Promise<void> {
    try {
      await this.#inTurn(() => this.#controller.tick());
    } catch (error) {
      // The bucket or the namespace may be away; the next look finds everything where it was.
      consoleLog.error("rollout_tick_failed", error, { model: this.ctx.id.name });
    }
    this.#store.forgetEvents(Date.now() - SEEN_MS);
    if (this.#controller.isRunning()) await this.ctx.storage.setAlarm(Date.now() + TICK_MS);
  }

  /** An alarm can be lost with a machine: whoever comes by sets it again. */
  async #seeToAlarm(): Promise<void> {
    if (!this.#controller.isRunning()) return;
    const next = await this.ctx.storage.getAlarm();
    if (next === null || next < Date.now() - TICK_MS) await this.ctx.storage.setAlarm(Date.now());
  }

  async #answered(work: () => Promise<RolloutView>): Promise<RpcResult<RolloutView>> {
    try {
      const value = await this.#inTurn(work);
      return { ok: true, value };
    } catch (error) {
      if (!(error instanceof NearsideError)) throw error;
      const { code, message, field, problems } = error;
      return {
        ok: false,
        code,
        message,
        ...(field !== undefined && { field }),
        ...(problems !== undefined && { problems }),
      };
    } finally {
      await this.#seeToAlarm();
    }
  }

  /** One after the other: each waits for the catalog in between, where others would come in. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
