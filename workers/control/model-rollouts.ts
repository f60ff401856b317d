import { DurableObject } from "cloudflare:workers";

import type { UsageEvent } from "../../src/billing/usage-event.ts";
import { AUDIT_NAME } from "../../src/control/audit.ts";
import { SqlVersionCounts } from "../../src/control/version-counts.ts";
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
import type { VersionCounts } from "../../src/telemetry/statistics.ts";
import type { Env } from "./env.ts";

/** A running rollout is looked at so often. */
const TICK_MS = 5_000;

/** An event that comes again within this time is known: the consumer's pauses are shorter by far. */
const SEEN_MS = 60 * 60 * 1000;

/** What is older is forgotten so often: in small portions where there is much of it. */
const FORGET_MS = 10 * 60 * 1000;

/** The rollouts, the shadows and the counts of one model; its name is the model's. */
export class ModelRollouts extends DurableObject<Env> implements RolloutsOfModel {
  readonly #store: SqlRolloutStore;
  readonly #controller: RolloutController;
  readonly #counts: SqlVersionCounts;
  /** The last of what runs one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#store = new SqlRolloutStore(state.storage.sql);
    this.#counts = new SqlVersionCounts(state.storage.sql);
    this.#controller = new RolloutController({
      model: state.id.name ?? "",
      store: this.#store,
      catalog: { bucket: env.MODELS, namespace: env.CATALOG },
      audit: (entry) => env.AUDIT_LOG.getByName(AUDIT_NAME).append(entry),
      onAuditFailure: (cause) => consoleLog.error("audit_failed", cause, { model: state.id.name }),
      edgeBudgetBytes: Number(env.MODEL_BUDGET_BYTES),
      now: () => Date.now(),
      newId: () => crypto.randomUUID(),
    });
  }

  start(plan: RolloutPlan, actor: string, dryRun: boolean): Promise<RpcResult<RolloutView>> {
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
    if (this.#controller.isRunning()) await this.#seeToAlarm();
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

  async record(events: UsageEvent[], unsettled: string[] = []): Promise<void> {
    const settled = events.filter(({ id }) => !unsettled.includes(id));
    // All of it or nothing: what was seen is not counted when it comes again.
    this.ctx.storage.transactionSync(() => {
      this.#controller.record(events);
      this.#counts.add(settled);
    });
    try {
      await this.#seeToAlarm();
    } catch (error) {
      // What is counted is counted, and must not come again; whoever comes next sees to it again.
      consoleLog.error("alarm_not_set", error, { model: this.ctx.id.name });
    }
  }

  async counts(): Promise<VersionCounts[]> {
    return this.#counts.list();
  }

  override async alarm(): Promise<void> {
    try {
      await this.#inTurn(() => this.#controller.tick());
    } catch (error) {
      // The bucket or the namespace may be away; the next look finds everything where it was.
      consoleLog.error("rollout_tick_failed", error, { model: this.ctx.id.name });
    }
    const areKnown = this.#store.forgetEvents(Date.now() - SEEN_MS);
    if (this.#controller.isRunning()) await this.ctx.storage.setAlarm(Date.now() + TICK_MS);
    else if (areKnown) await this.ctx.storage.setAlarm(Date.now() + FORGET_MS);
  }

  /** An alarm can be lost with a machine, or set by a clock that was ahead: whoever comes by sets it again. */
  async #seeToAlarm(): Promise<void> {
    const now = Date.now();
    const next = await this.ctx.storage.getAlarm();
    if (!this.#controller.isRunning()) {
      if (next === null) await this.ctx.storage.setAlarm(now + FORGET_MS);
      return;
    }
    const isDue = next !== null && Math.abs(next - now) <= 2 * TICK_MS;
    if (!isDue) await this.ctx.storage.setAlarm(now);
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
      if (this.#controller.isRunning()) await this.#seeToAlarm();
    }
  }

  /** One after the other: each waits for the catalog in between, where others would come in. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
