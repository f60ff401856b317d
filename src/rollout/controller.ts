import type { UsageEvent } from "../billing/usage-event.ts";
import { STABLE, type CatalogSource } from "../catalog/catalog.ts";
import {
  type CatalogChange,
  type CatalogStore,
  changeCatalog,
  planChange,
  readCatalogSource,
} from "../catalog/changes.ts";
import type { AuditRecord } from "../control/audit.ts";
import { readManifest } from "../catalog/compile.ts";
import { NearsideError } from "../errors.ts";
import { catalogMutation, checkStillOurs, SupersededError } from "./catalog-mutations.ts";
import { decide } from "./decide.ts";
import { evaluateGuards, type GuardFinding } from "./guards.ts";
import type { RolloutPlan } from "./plan.ts";
import { isOver, type RolloutState, type Transition } from "./state.ts";
import type { RolloutStats } from "./stats.ts";
import type { RolloutStore, ShadowPair } from "./store.ts";
import { addEvent, addShadow, emptyStats } from "./tally.ts";
import type { RolloutAction, RolloutView } from "./view.ts";
import { etagOf, summaryOf, viewOf } from "./present.ts";

export interface ControllerOptions {
  readonly model: string;
  readonly store: RolloutStore;
  readonly catalog: CatalogStore;
  /** Appends to the audit log, once for each id. */
  audit(entry: AuditRecord): Promise<void>;
  onAuditFailure(cause: unknown): void;
  /** Memory for models in an isolate of the edge. */
  readonly edgeBudgetBytes: number;
  /** Milliseconds since the epoch. */
  now(): number;
  newId(): string;
}

/** Rollouts that a list shows. */
const MOST_LISTED = 50;

/** Who decides when nobody does. */
const CONTROLLER = "rollout controller";

/**
 * Walks the rollouts of one model. A decision is stored, then carried out in the catalog, then stored as
 * done, then told to the audit log; each of these can be repeated, so a crash anywhere costs nothing.
 * Callers see to it that only one method runs at a time (`record` may run between).
 */
export class RolloutController {
  readonly #options: ControllerOptions;

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /**
   * Starts a rollout of `plan.version` against what `stable` names now.
   *
   * @throws NearsideError `rollout_running`, `flag_in_the_way`, `model_not_found`, `version_not_found`,
   * `invalid_change`
   */
  async start(plan: RolloutPlan, actor: string, dryRun: boolean): Promise<RolloutView> {
    await this.settle();
    const { store, catalog, model, now, newId } = this.#options;
    const running = store.latest();
    if (running !== undefined && !isOver(running)) throw rolloutRunning(running);
    const { source } = await readCatalogSource(catalog.bucket);
    const baseline = baselineOf(source, model, plan);
    await this.#refuseWithoutRoom(plan, baseline);
    const state: RolloutState = {
      id: newId(),
      model,
      plan,
      baseline,
      status: "running",
      step: 0,
      stepCatalogs: [],
      stepStartedAt: now(),
      startedAt: now(),
      startedBy: actor,
      revision: 0,
      unaudited: [],
    };
    const transition: Transition = {
      action: "start",
      status: "running",
      step: 0,
      actor,
      reason: `version ${plan.version} against version ${baseline}, in steps of ${plan.steps.join(", ")} %`,
      evidence: { plan },
    };
    if (dryRun) {
      await this.#plan(state, transition);
      return viewOf(state, emptyStats(), now());
    }
    store.saveStats(state.id, emptyStats());
    try {
      await this.#carryOut(state, transition);
    } catch (error) {
      // What was refused never began; what broke off is taken up by the next call.
      if (isRefusal(error)) store.remove(state.id);
      throw error;
    }
    return this.#view();
  }

  /**
   * Does what an operator says.
   *
   * @param etag of the rollout as the operator saw it, or `*`
   * @throws NearsideError `rollout_not_found`, `rollout_over`, `precondition_failed`
   */
  async act(
    action: RolloutAction,
    reason: string | undefined,
    actor: string,
    etag: string,
    dryRun: boolean,
  ): Promise<RolloutView> {
    await this.settle();
    const state = this.#latest();
    if (etag !== "*" && etag !== etagOf(state)) {
      throw new NearsideError(
        "precondition_failed",
        `The rollout has moved on meanwhile: it is ${state.status}, at step ${state.step + 1}. Look at it again.`,
      );
    }
    if (isOver(state)) {
      throw new NearsideError(
        "rollout_over",
        `The rollout of "${state.model}" is over (${state.status}); there is nothing to ${action}.`,
      );
    }
    const status = {
      pause: "paused",
      resume: "running",
      promote: "promoted",
      abort: "aborted",
    } as const;
    const transition: Transition = {
      action,
      status: status[action],
      step: action === "promote" ? state.plan.steps.length - 1 : state.step,
      actor,
      reason: reason ?? `${actor} said so`,
      evidence: this.#evidence(state),
    };
    if (dryRun) {
      await this.#plan(state, transition);
      return viewOf(
        { ...state, ...doneBy(transition, this.#options.now()) },
        this.#stats(state),
        this.#options.now(),
      );
    }
    if (status[action] !== state.status) await this.#carryOut(state, transition);
    return this.#view();
  }

  /** Looks at what was counted, and decides. @returns whether there is anything left to look at */
  async tick(): Promise<boolean> {
    await this.settle();
    const { store, catalog, now } = this.#options;
    const state = store.latest();
    if (state === undefined || isOver(state)) return false;
    const { source } = await readCatalogSource(catalog.bucket);
    try {
      checkStillOurs(source, state);
    } catch (error) {
      if (!(error instanceof SupersededError)) throw error;
      await this.#supersede(state, source);
      return false;
    }
    const off = switchedOff(source, state);
    if (off !== undefined) {
      await this.#carryOut(state, {
        action: "roll_back",
        status: "rolled_back",
        step: state.step,
        actor: CONTROLLER,
        reason: off,
        evidence: this.#evidence(state),
      });
      return false;
    }
    const stats = this.#stats(state);
    const decision = decide({
      plan: state.plan,
      step: state.step,
      stepStartedAt: state.stepStartedAt,
      now: now(),
      stats,
    });
    const { action, reason } = decision;
    if (action === "wait" || (state.status === "paused" && action !== "roll_back")) return true;
    const transition: Transition = {
      action,
      status: { advance: "running", promote: "promoted", roll_back: "rolled_back" }[
        action
      ] as Transition["status"],
      step: action === "advance" ? state.step + 1 : state.step,
      actor: CONTROLLER,
      reason,
      evidence: this.#evidence(state, stats, decision.findings),
    };
    await this.#carryOut(state, transition);
    return !isOver(transition);
  }

  /** Counts events, each id once: those of the running rollout, and shadows of any other versions. */
  record(events: readonly UsageEvent[]): void {
    const { store, now } = this.#options;
    const latest = store.latest();
    const state = latest !== undefined && !isOver(latest) ? latest : undefined;
    const fresh = events.filter(
      (event) => (state !== undefined || event.kind === "shadow") && store.isNew(event.id, now()),
    );
    if (fresh.length === 0) return;
    const stats = state && this.#stats(state);
    for (const event of fresh) {
      if (state !== undefined && stats !== undefined && isOf(event, state)) {
        addEvent(stats, event, state);
      } else if (event.kind === "shadow") {
        const { against, version } = event;
        const pair = store.shadowPair(against, version) ?? emptyStats().comparisons;
        addShadow(pair, event, { baseline: against });
        store.saveShadowPair(against, version, pair);
      }
    }
    if (state !== undefined && stats !== undefined) store.saveStats(state.id, stats);
  }

  shadows(): ShadowPair[] {
    return this.#options.store.shadowPairs();
  }

  /**
   * Finishes what was decided before a crash, and tells the audit log what it has not heard. What the catalog
   * refuses meanwhile is dropped: it must not stand in the way of the next decision.
   */
  async settle(): Promise<void> {
    const { store } = this.#options;
    const state = store.latest();
    if (state?.pending === undefined) {
      if (state !== undefined) await this.#tellAuditLog(state);
      return;
    }
    try {
      await this.#carryOut(state, state.pending);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (state.pending.action === "start") store.remove(state.id);
    }
  }

  current(): RolloutView | undefined {
    return this.#options.store.latest() && this.#view();
  }

  list(): RolloutView[] {
    const { store, now } = this.#options;
    return store.newest(MOST_LISTED).map((state) => viewOf(state, this.#stats(state), now()));
  }

  isRunning(): boolean {
    const state = this.#options.store.latest();
    return state !== undefined && !isOver(state);
  }

  /** Shadows run only in memory that is free beside the version that answers. */
  async #refuseWithoutRoom(plan: RolloutPlan, baseline: number): Promise<void> {
    if (plan.shadowRate === 0) return;
    const { model, catalog, edgeBudgetBytes } = this.#options;
    const manifests = await Promise.all(
      [baseline, plan.version].map((version) => readManifest(catalog.bucket, model, version)),
    );
    const needed = manifests.reduce(
      (sum, { memory }) => sum + memory.heapBytes + memory.taskBytes,
      0,
    );
    if (needed <= edgeBudgetBytes) return;
    throw new NearsideError(
      "invalid_change",
      `Versions ${baseline} and ${plan.version} of "${model}" need ${megabytes(needed)} together, and an isolate has ` +
        `${megabytes(edgeBudgetBytes)} for models: no shadow would ever run. Roll out without comparing ` +
        "(--no-shadow): errors and latency are guarded all the same.",
      { field: "shadowRate" },
    );
  }

  /** @throws NearsideError as carrying it out would */
  async #plan(state: RolloutState, transition: Transition): Promise<void> {
    try {
      await planChange(this.#options.catalog, catalogMutation(state, transition));
    } catch (error) {
      if (!(error instanceof SupersededError)) throw error;
      throw new NearsideError(
        "precondition_failed",
        `The flag of "${state.model}" was changed by somebody else: the rollout is about to end.`,
      );
    }
  }

  async #carryOut(state: RolloutState, transition: Transition): Promise<void> {
    const { store, catalog, now } = this.#options;
    const { pending: _, ...settled } = state;
    store.save({ ...settled, pending: transition });
    let change: CatalogChange;
    try {
      change = await changeCatalog(
        catalog,
        {
          by: transition.actor,
          change: sentenceOf(state, transition),
          now: now(),
        },
        catalogMutation(state, transition),
      );
    } catch (error) {
      if (error instanceof SupersededError) {
        const { source } = await readCatalogSource(catalog.bucket);
        return this.#supersede(state, source);
      }
      if (isRefusal(error)) store.save(settled);
      throw error;
    }
    await this.#done(state, transition, change.after.number);
  }

  async #supersede(state: RolloutState, { number, by, change }: CatalogSource): Promise<void> {
    const reason =
      `the flag of "${state.model}" was changed by somebody else; since then catalog ${number} was written` +
      (by === undefined ? "" : ` (${by}: ${change ?? ""})`);
    const transition: Transition = {
      action: "supersede",
      status: "superseded",
      step: state.step,
      actor: CONTROLLER,
      reason,
      evidence: this.#evidence(state),
    };
    await this.#done(state, transition, number);
  }

  async #done(state: RolloutState, transition: Transition, catalog: number): Promise<void> {
    const { store, now } = this.#options;
    const { pending: _, ...settled } = state;
    const at = now();
    const revision = state.revision + 1;
    const isStepBegun = transition.action === "start" || transition.action === "advance";
    const next: RolloutState = {
      ...settled,
      ...doneBy(transition, at),
      // Time that a rollout stood still is no time that it was watched.
      ...(transition.action === "pause" && { pausedAt: at }),
      ...(transition.action === "resume" && {
        stepStartedAt: state.stepStartedAt + at - (state.pausedAt ?? at),
      }),
      ...(isStepBegun && {
        stepStartedAt: at,
        stepCatalogs: [...state.stepCatalogs, catalog],
      }),
      revision,
      unaudited: [
        ...state.unaudited,
        {
          id: `rollout:${state.id}:${revision}`,
          at: new Date(at).toISOString(),
          actor: transition.actor,
          action: `rollout.${transition.action}`,
          target: `models/${state.model}/rollout`,
          models: [state.model],
          before: transition.action === "start" ? null : positionOf(state),
          after: positionOf({ ...state, ...transition }),
          catalog,
          details: { reason: transition.reason, ...(transition.evidence as object) },
        },
      ],
    };
    store.save(next);
    await this.#tellAuditLog(next);
  }

  /** A log that is away must not keep a rollout from going back: what it has not heard it hears later. */
  async #tellAuditLog(state: RolloutState): Promise<void> {
    if (state.unaudited.length === 0) return;
    const { audit, store, onAuditFailure } = this.#options;
    try {
      for (const entry of state.unaudited) await audit(entry);
    } catch (error) {
      onAuditFailure(error);
      return;
    }
    store.save({ ...state, unaudited: [] });
  }

  #evidence(
    state: RolloutState,
    stats = this.#stats(state),
    findings: readonly GuardFinding[] = evaluateGuards(state.plan, stats),
  ): { findings: unknown; counts: unknown } {
    return { findings, counts: summaryOf(stats, state.step) };
  }

  #latest(): RolloutState {
    const state = this.#options.store.latest();
    if (state !== undefined) return state;
    throw new NearsideError(
      "rollout_not_found",
      `"${this.#options.model}" has no rollout. Start one: nearside rollout start ${this.#options.model} <version>`,
    );
  }

  #view(): RolloutView {
    const state = this.#latest();
    return viewOf(state, this.#stats(state), this.#options.now());
  }

  #stats({ id }: RolloutState): RolloutStats {
    return this.#options.store.stats(id) ?? emptyStats();
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

/** Why nobody gets the candidate, when an operator has switched it off. */
function switchedOff({ models }: CatalogSource, { model, plan }: RolloutState): string | undefined {
  return (models[model]?.offVersions?.includes(plan.version) ?? false)
    ? `version ${plan.version} was switched off`
    : undefined;
}

/** The catalog would not hold together with it: trying again does not help. */
function isRefusal(error: unknown): error is NearsideError {
  return error instanceof NearsideError && error.code !== "catalog_busy";
}

/** Whether an event is between the two versions of a rollout. */
function isOf(event: UsageEvent, { plan, baseline }: RolloutState): boolean {
  const isOne = (version: number): boolean => version === baseline || version === plan.version;
  return isOne(event.version) && (event.kind === "request" || isOne(event.against));
}

/** What a transition leaves in the state. */
function doneBy({ status, step, actor, reason }: Transition, at: number): Partial<RolloutState> {
  const isEnd = isOver({ status });
  return { status, step, reason, ...(isEnd && { endedAt: at, endedBy: actor }) };
}

/** What the audit log shows before and after a decision. */
function positionOf({
  status,
  step,
  plan,
}: Pick<RolloutState, "status" | "step" | "plan">): object {
  return { status, step: step + 1, share: plan.steps[step] };
}

function sentenceOf({ model, plan }: RolloutState, { action, step, reason }: Transition): string {
  const share = `${plan.steps[step] ?? 0} % of ${model} get version ${plan.version}`;
  switch (action) {
    case "start":
    case "advance":
      return share;
    case "promote":
      return `version ${plan.version} of ${model} is ${STABLE}`;
    default:
      return `rollout of ${model} ${plan.version}: ${action}, ${reason}`;
  }
}

function rolloutRunning({ model, plan }: RolloutState): NearsideError {
  return new NearsideError(
    "rollout_running",
    `A rollout of "${model}" to version ${plan.version} is running. End it first: nearside rollout abort ${model}`,
  );
}

/** @throws NearsideError `model_not_found`, `version_not_found`, `invalid_change` */
function baselineOf(source: CatalogSource, name: string, { version }: RolloutPlan): number {
  const model = Object.hasOwn(source.models, name) ? source.models[name] : undefined;
  if (model === undefined) {
    throw new NearsideError("model_not_found", `There is no model "${name}".`, { field: "model" });
  }
  if (!model.versions.includes(version)) {
    throw new NearsideError(
      "version_not_found",
      `"${name}" has no version ${version}; it has ${model.versions.join(", ")}.`,
      { field: "version" },
    );
  }
  const baseline = model.labels[STABLE];
  const refusal =
    baseline === undefined
      ? `"${name}" has no "${STABLE}" to compare with. Label one first: nearside label ${name} ${STABLE} <version>`
      : baseline === version
        ? `Version ${version} of "${name}" is "${STABLE}" already.`
        : (model.offVersions?.includes(version) ?? false)
          ? `Version ${version} of "${name}" is switched off. Switch it on first: nearside switch ${name} --version ${version} --on`
          : undefined;
  if (baseline !== undefined && refusal === undefined) return baseline;
  throw new NearsideError("invalid_change", refusal ?? "", { field: "version" });
}
