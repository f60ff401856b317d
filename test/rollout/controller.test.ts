import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as v from "valibot";

import type { UsageEvent } from "../../src/billing/usage-event.ts";
import { type CatalogSource, withVersion } from "../../src/catalog/catalog.ts";
import { type CatalogStore, changeCatalog, readCatalogSource } from "../../src/catalog/changes.ts";
import type { AuditRecord } from "../../src/control/audit.ts";
import { RolloutController } from "../../src/rollout/controller.ts";
import { RolloutPlan } from "../../src/rollout/plan.ts";
import type { RolloutState } from "../../src/rollout/state.ts";
import type { ComparisonStats, RolloutStats } from "../../src/rollout/stats.ts";
import type { RolloutStore } from "../../src/rollout/store.ts";
import { manifestKey } from "../../src/store/layout.ts";
import { manifestOf } from "../support/manifests.ts";
import { MemoryBucket, MemoryNamespace, withHooks } from "../support/memory-bucket.ts";
import { requestEvent, shadowEvent } from "../support/usage-events.ts";

/** What survives the process: JSON, as in SQLite. */
class MemoryStore implements RolloutStore {
  readonly rows = new Map<string, string>();
  readonly counts = new Map<string, string>();
  readonly seen = new Set<string>();

  newest(limit: number): RolloutState[] {
    const all = [...this.rows.values()].map((text) => JSON.parse(text) as RolloutState);
    return all.toReversed().slice(0, limit);
  }
  latest(): RolloutState | undefined {
    return this.newest(1)[0];
  }
  save(state: RolloutState): void {
    this.rows.set(state.id, JSON.stringify(state));
  }
  remove(id: string): void {
    this.rows.delete(id);
  }
  stats(id: string): RolloutStats | undefined {
    return this.#read<RolloutStats>(id);
  }
  saveStats(id: string, stats: RolloutStats): void {
    this.counts.set(id, JSON.stringify(stats));
  }
  isNew(id: string): boolean {
    return !this.seen.has(id) && Boolean(this.seen.add(id));
  }
  shadowPairs() {
    return [...this.counts.keys()]
      .filter((key) => key.startsWith("shadow:"))
      .map((key) => {
        const [, against, version] = key.split(":").map(Number);
        const stats = this.#read<ComparisonStats>(key);
        if (stats === undefined) throw new Error("unreachable");
        return { against: against ?? 0, version: version ?? 0, ...stats };
      });
  }
  shadowPair(against: number, version: number): ComparisonStats | undefined {
    return this.#read<ComparisonStats>(`shadow:${against}:${version}`);
  }
  saveShadowPair(against: number, version: number, stats: ComparisonStats): void {
    this.counts.set(`shadow:${against}:${version}`, JSON.stringify(stats));
  }
  #read<T>(key: string): T | undefined {
    const text = this.counts.get(key);
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }
}

let target: { bucket: MemoryBucket; namespace: MemoryNamespace };
let store: MemoryStore;
let audit: AuditRecord[];
let auditFailures: unknown[];
let now: number;

beforeEach(async () => {
  target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
  store = new MemoryStore();
  audit = [];
  auditFailures = [];
  now = Date.UTC(2026, 10, 27, 18);
  for (const version of [1, 2, 3]) {
    const manifest = manifestOf({ name: "m", version });
    await target.bucket.put(manifestKey("m", version), JSON.stringify(manifest));
    await edit((source) => withVersion(source, manifest));
  }
});

const edit = (mutate: (source: CatalogSource) => CatalogSource) =>
  changeCatalog(target, { by: "grace", change: "by hand", now }, mutate);

/** A process that holds the controller; all state is outside it. */
const controllerOf = (catalog: CatalogStore = target, onAudit?: () => void) =>
  new RolloutController({
    model: "m",
    store,
    catalog,
    audit: async (record) => {
      onAudit?.();
      if (!audit.some(({ id }) => id === record.id)) audit.push(record);
    },
    onAuditFailure: (cause) => void auditFailures.push(cause),
    edgeBudgetBytes: 96 * 1024 * 1024,
    now: () => now,
    newId: () => `rollout-${store.rows.size + 1}`,
  });

const PLAN = v.parse(RolloutPlan, {
  version: 2,
  steps: [5, 50, 100],
  minSeconds: 60,
  minRequests: 20,
  minComparisons: 20,
});

const catalogNow = async () => (await readCatalogSource(target.bucket)).source;
const flagNow = async () => (await catalogNow()).flags?.flags["m"];
const shareNow = async () =>
  (await flagNow())?.targeting?.["fractional"] as [string, number][] | undefined;

/** Traffic of both versions at the present catalog. */
async function traffic(
  controller: RolloutController,
  more: { faults?: number; flips?: number } = {},
): Promise<UsageEvent[]> {
  const { number: catalog } = await catalogNow();
  const events = Array.from({ length: 30 }, (_, index) => [
    requestEvent({ catalog }),
    requestEvent({
      catalog,
      version: 2,
      variant: "next",
      ...(index < (more.faults ?? 0) && { outcome: "instance_trapped", status: 500 }),
    }),
    shadowEvent({
      catalog,
      comparison: {
        kind: "classification",
        items: 1,
        flips: index < (more.flips ?? 0) ? 1 : 0,
        distances: [0],
      },
    }),
  ]).flat();
  controller.record(events);
  return events;
}

describe("a rollout", () => {
  it("walks its steps when time, requests and comparisons are enough, and ends as stable", async () => {
    const controller = controllerOf();
    const started = await controller.start(PLAN, "ada", false);
    expect(started).toMatchObject({ status: "running", baseline: 1, step: 0, share: 5 });
    for (const [step, share] of [5, 50, 100].entries()) {
      expect(await shareNow()).toEqual([
        ["current", 100 - share],
        ["next", share],
      ]);
      await traffic(controller);
      expect(await controller.tick()).toBe(true);
      expect(controller.current()?.step).toBe(step);
      now += 60_000;
      expect(await controller.tick()).toBe(step < 2);
    }
    const { models, flags } = await catalogNow();
    expect(models["m"]?.labels).toEqual({ stable: 2 });
    expect(flags?.flags).toEqual({});
    expect(controller.current()).toMatchObject({
      status: "promoted",
      share: 100,
      endedBy: "rollout controller",
    });
    expect(audit.map(({ action }) => action)).toEqual([
      "rollout.start",
      "rollout.advance",
      "rollout.advance",
      "rollout.promote",
    ]);
    expect(audit.at(-1)?.details).toMatchObject({
      reason: expect.stringContaining("no guard is broken"),
      findings: expect.any(Array),
      counts: { candidate: { requests: 90, errors: 0 } },
    });
    expect(await controller.tick()).toBe(false);
  });

  it("stays at a step without enough requests, and says what it waits for", async () => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    now += 3_600_000;
    expect(await controller.tick()).toBe(true);
    expect(controller.current()).toMatchObject({
      step: 0,
      waitingFor: expect.stringContaining("20 more of 20 requests"),
    });
  });

  it.each([
    ["disagreement", { flips: 15 }],
    ["errors", { faults: 20 }],
  ])("comes back by itself for %s, at once, with the numbers that decided", async (guard, more) => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    await traffic(controller, more);
    expect(await controller.tick()).toBe(false);
    expect(controller.current()).toMatchObject({
      status: "rolled_back",
      share: 0,
      reason: expect.stringContaining(`${guard}: `),
    });
    const { models, flags } = await catalogNow();
    expect(models["m"]?.labels).toEqual({ stable: 1 });
    expect(flags?.flags).toEqual({});
    expect(audit.at(-1)).toMatchObject({
      action: "rollout.roll_back",
      actor: "rollout controller",
      before: { status: "running", share: 5 },
    });
  });

  it("counts an event once, however often it comes", async () => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    const events = await traffic(controller);
    controller.record(events);
    controller.record(events);
    expect(controller.current()?.stats).toMatchObject({
      baseline: { requests: 30 },
      candidate: { requests: 30 },
      comparisons: { items: 30 },
    });
  });

  it("keeps shadows of other versions apart", async () => {
    const controller = controllerOf();
    controller.record([shadowEvent(), shadowEvent({ version: 3, units: { elements: 3 } })]);
    await controller.start(PLAN, "ada", false);
    const { number: catalog } = await catalogNow();
    controller.record([shadowEvent({ version: 3, catalog }), shadowEvent({ catalog })]);
    expect(controller.shadows()).toMatchObject([
      { against: 1, version: 2, items: 1 },
      { against: 1, version: 3, items: 2 },
    ]);
    expect(controller.current()?.stats.comparisons.items).toBe(1);
  });
});

describe("an operator", () => {
  it("pauses, and guards go on; resumes; aborts", async () => {
    const controller = controllerOf();
    let { etag } = await controller.start(PLAN, "ada", false);
    const act = async (action: "pause" | "resume" | "abort") =>
      ({ etag } = await controller.act(action, "lunch", "grace", etag, false));
    expect(await act("pause")).toMatchObject({ status: "paused", reason: "lunch" });
    await traffic(controller);
    now += 60_000;
    expect(await controller.tick()).toBe(true);
    expect(controller.current()).toMatchObject({ status: "paused", step: 0 });
    await act("resume");
    await controller.tick();
    // A minute of standing still is no minute of the step.
    expect(controller.current()).toMatchObject({ status: "running", step: 0 });
    now += 60_000;
    await controller.tick();
    expect(controller.current()).toMatchObject({ status: "running", step: 1 });
    ({ etag } = controller.current() ?? { etag: "" });
    expect(await act("abort")).toMatchObject({
      status: "aborted",
      endedBy: "grace",
      share: 0,
    });
    expect(await flagNow()).toBeUndefined();
    await expect(act("resume")).rejects.toMatchObject({ code: "rollout_over" });
  });

  it("is rolled back from a pause, too", async () => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    await controller.act("pause", undefined, "grace", "*", false);
    await traffic(controller, { flips: 15 });
    expect(await controller.tick()).toBe(false);
    expect(controller.current()?.status).toBe("rolled_back");
  });

  it("promotes at once", async () => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    const view = await controller.act("promote", "it is Friday", "grace", "*", false);
    expect(view).toMatchObject({ status: "promoted", reason: "it is Friday", share: 100 });
    expect((await catalogNow()).models["m"]?.labels).toEqual({ stable: 2 });
  });

  it("who is slower than another learns it", async () => {
    const controller = controllerOf();
    const { etag } = await controller.start(PLAN, "ada", false);
    const [first, second] = await Promise.allSettled([
      controller.act("pause", undefined, "ada", etag, false),
      // Whoever holds the controller calls it in turn.
      Promise.resolve().then(async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return controller.act("abort", undefined, "grace", etag, false);
      }),
    ]);
    expect(first.status).toBe("fulfilled");
    expect(second).toMatchObject({ reason: { code: "precondition_failed" } });
    await expect(controller.start(PLAN, "grace", false)).rejects.toMatchObject({
      code: "rollout_running",
    });
  });

  it.each<[string, Partial<RolloutPlan>, string]>([
    ["no version", { version: 9 }, "version_not_found"],
    ["what is stable already", { version: 1 }, "invalid_change"],
  ])("can't roll out %s", async (_, more, code) => {
    const controller = controllerOf();
    const plan = { ...PLAN, ...more };
    await expect(controller.start(plan, "ada", false)).rejects.toMatchObject({ code });
    expect(controller.current()).toBeUndefined();
    expect(await flagNow()).toBeUndefined();
  });

  it("can't roll out past a flag, and learns the way", async () => {
    const flag = { state: "ENABLED", variants: { a: 1 }, defaultVariant: "a" } as const;
    await edit((source) => ({ ...source, flags: { flags: { m: flag } } }));
    const controller = controllerOf();
    await expect(controller.start(PLAN, "ada", false)).rejects.toMatchObject({
      code: "flag_in_the_way",
      message: expect.stringContaining("nearside flag set m --delete"),
    });
    expect(controller.current()).toBeUndefined();
    expect(await flagNow()).toEqual(flag);
    expect(audit).toEqual([]);
  });

  it("sees what would happen without its happening", async () => {
    const controller = controllerOf();
    expect(await controller.start(PLAN, "ada", true)).toMatchObject({
      status: "running",
      share: 5,
    });
    expect(controller.current()).toBeUndefined();
    expect(await flagNow()).toBeUndefined();
    await controller.start(PLAN, "ada", false);
    const before = target.bucket.contents();
    expect(await controller.act("promote", undefined, "ada", "*", true)).toMatchObject({
      status: "promoted",
    });
    expect(controller.current()?.status).toBe("running");
    expect(target.bucket.contents()).toEqual(before);
  });

  it("who changes the flag by hand takes it over", async () => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    const flag = { state: "ENABLED", variants: { a: 3 }, defaultVariant: "a" } as const;
    await edit((source) => ({ ...source, flags: { flags: { m: flag } } }));
    expect(await controller.tick()).toBe(false);
    expect(controller.current()).toMatchObject({
      status: "superseded",
      reason: expect.stringContaining("grace: by hand"),
    });
    expect(await flagNow()).toEqual(flag);
  });
});

describe("a switch", () => {
  const switched = (source: CatalogSource, offVersions: number[]): CatalogSource => ({
    ...source,
    models: {
      ...source.models,
      m: { versions: [1, 2, 3], labels: source.models["m"]?.labels ?? {}, offVersions },
    },
  });

  it("that takes the candidate away ends its rollout, and switching it on again does not begin it", async () => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    await edit((source) => switched(source, [2]));
    await expect(controller.act("promote", undefined, "grace", "*", false)).rejects.toMatchObject({
      code: "invalid_change",
    });
    expect(controller.current()?.status).toBe("running");
    expect(await controller.tick()).toBe(false);
    expect(controller.current()).toMatchObject({
      status: "rolled_back",
      reason: "version 2 was switched off",
    });
    await edit((source) => switched(source, []));
    expect(await controller.tick()).toBe(false);
    expect((await catalogNow()).models["m"]?.labels).toEqual({ stable: 1 });
  });

  it("lets an operator abort after a promotion was refused", async () => {
    const controller = controllerOf();
    await controller.start(PLAN, "ada", false);
    await edit((source) => switched(source, [2]));
    await controller.act("promote", undefined, "grace", "*", false).catch(() => undefined);
    expect(await controller.act("abort", undefined, "grace", "*", false)).toMatchObject({
      status: "aborted",
    });
    expect(await flagNow()).toBeUndefined();
  });
});

describe("an audit log that is away", () => {
  it("keeps no rollout from going back, and hears of it later", async () => {
    const controller = controllerOf(target, () => {
      if (auditFailures.length < 3) throw new Error("away");
    });
    await controller.start(PLAN, "ada", false);
    await traffic(controller, { flips: 15 });
    await controller.tick();
    expect(controller.current()?.status).toBe("rolled_back");
    expect([audit.length, auditFailures.length]).toEqual([0, 3]);
    await controller.settle();
    expect(audit.map(({ action }) => action)).toEqual(["rollout.start", "rollout.roll_back"]);
  });
});

describe("a crash", () => {
  // The namespace is tried again after a second.
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout"] }).setTimerTickMode("nextTimerAsync");
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Every write of the catalog, of the audit log too, in the order in which they come. */
  const interruptions = [0, 1, 2, 3, 4] as const;

  it.each(interruptions)("at write %i of any decision costs nothing", async (broken) => {
    for (const decision of ["start", "advance", "promote", "roll_back", "abort"] as const) {
      target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
      store = new MemoryStore();
      audit = [];
      for (const version of [1, 2, 3]) {
        const manifest = manifestOf({ name: "m", version });
        await target.bucket.put(manifestKey("m", version), JSON.stringify(manifest));
        await edit((source) => withVersion(source, manifest));
      }
      if (decision !== "start") {
        const healthy = controllerOf();
        await healthy.start(PLAN, "ada", false);
        await traffic(healthy, decision === "roll_back" ? { flips: 15 } : {});
        if (decision === "promote") {
          for (let step = 0; step < 2; step++) {
            now += 60_000;
            await healthy.tick();
            await traffic(healthy);
          }
        }
        now += 60_000;
      }
      let writes = 0;
      const interrupt = (): void => {
        if (writes++ >= broken) throw new Error("the machine went away");
      };
      const crashing = controllerOf(withHooks(target, { before: interrupt }), interrupt);
      const attempt =
        decision === "start"
          ? crashing.start(PLAN, "ada", false)
          : decision === "abort"
            ? crashing.act("abort", undefined, "ada", "*", false)
            : crashing.tick();
      await attempt.catch(() => undefined);

      // Another process, with nothing but what was stored.
      const after = controllerOf();
      await after.settle();
      const expected = {
        start: { status: "running", step: 0 },
        advance: { status: "running", step: 1 },
        promote: { status: "promoted" },
        roll_back: { status: "rolled_back" },
        abort: { status: "aborted" },
      }[decision];
      expect(after.current()).toMatchObject(expected);
      const last = audit.filter(({ action }) => action === `rollout.${decision}`);
      expect(last).toHaveLength(1);
      const stable = (await catalogNow()).models["m"]?.labels["stable"];
      expect(stable).toBe(decision === "promote" ? 2 : 1);
      expect((await shareNow())?.[1]?.[1]).toBe(
        { start: 5, advance: 50, promote: undefined, roll_back: undefined, abort: undefined }[
          decision
        ],
      );
    }
  });
});
