import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";

import type { Manifest } from "../../src/catalog/manifest.ts";
import { NearsideError } from "../../src/errors.ts";
import {
  type HostContext,
  type HostedModel,
  type LoadContext,
  ModelHost,
} from "../../src/runtime/host.ts";
import { manifestOf } from "../support/manifests.ts";

const MB = 1_000_000;

interface FakeModel extends HostedModel {
  heapBytes: number;
  isSpent?: boolean;
  trap: unknown;
  readonly grow: (bytes: number) => boolean;
}

/** Loads that finish when the test says so. */
function pendingLoads() {
  const pending: {
    manifest: Manifest;
    context: LoadContext;
    finish(): void;
    fail(error: unknown): void;
  }[] = [];
  const load = (manifest: Manifest, context: LoadContext): Promise<FakeModel> => {
    const { promise, resolve, reject } = Promise.withResolvers<FakeModel>();
    const model: FakeModel = {
      heapBytes: manifest.memory.heapBytes,
      trap: undefined,
      start: "loaded",
      grow: (bytes) => {
        if (!context.mayGrow(bytes)) return false;
        model.heapBytes = bytes;
        return true;
      },
    };
    pending.push({ manifest, context, finish: () => resolve(model), fail: reject });
    return promise;
  };
  return { pending, load };
}

const instantLoad = (manifest: Manifest, context: LoadContext): Promise<FakeModel> => {
  const { pending, load } = pendingLoads();
  const loading = load(manifest, context);
  pending[0]?.finish();
  return loading;
};

function contextOf(
  now: () => number = () => Date.now(),
): HostContext & { background: Promise<unknown>[] } {
  const background: Promise<unknown>[] = [];
  return { now, waitUntil: (promise) => background.push(promise), background };
}

const model = (name: string, megabytes: number) =>
  manifestOf({ name, memory: { heapBytes: megabytes * MB, taskBytes: 0 } });

describe("ModelHost", () => {
  it("loads a model once for twenty simultaneous requests", async () => {
    const { pending, load } = pendingLoads();
    const host = new ModelHost({ budgetBytes: 100 * MB, load });
    const uses = Array.from({ length: 20 }, () =>
      host.use(model("a", 10), contextOf(), (_, start) => start),
    );
    await vi.waitFor(() => expect(pending).toHaveLength(1));
    pending[0]?.finish();
    expect(new Set(await Promise.all(uses))).toEqual(new Set(["loaded"]));
    expect(await host.use(model("a", 10), contextOf(), (_, start) => start)).toBe("warm");
    expect(host.stats()).toMatchObject({ loads: 1, heldBytes: 10 * MB, evictions: 0 });
  });

  it("refuses what can never fit before anything is fetched", async () => {
    const load = vi.fn<typeof instantLoad>(instantLoad);
    const host = new ModelHost({ budgetBytes: 50 * MB, load });
    await expect(host.use(model("big", 51), contextOf(), () => {})).rejects.toMatchObject({
      code: "model_too_large",
    });
    expect(load).not.toHaveBeenCalled();
    expect(host.stats()).toMatchObject({ heldBytes: 0, models: [] });
  });

  it("drops the least recently used model when another needs its room", async () => {
    const host = new ModelHost({ budgetBytes: 100 * MB, load: instantLoad });
    const touch = (name: string) => host.use(model(name, 40), contextOf(), (_, start) => start);
    expect(await touch("a")).toBe("loaded");
    expect(await touch("b")).toBe("loaded");
    expect(await touch("a")).toBe("warm");
    expect(await touch("c")).toBe("loaded");
    expect(host.stats().models.map(({ name }) => name)).toEqual(["a", "c"]);
    expect(await touch("b")).toBe("loaded");
    expect(host.stats()).toMatchObject({ evictions: 2, heldBytes: 80 * MB });
  });

  it("keeps a model just loaded until those who waited for it have had their turn", async () => {
    const { pending, load } = pendingLoads();
    const host = new ModelHost({ budgetBytes: 100 * MB, load });
    const uses = Array.from({ length: 12 }, (_, index) =>
      host.use(model(index % 2 === 0 ? "a" : "b", 80), contextOf(), ({ heapBytes }) => heapBytes),
    );
    await vi.waitFor(() => expect(pending).toHaveLength(1));
    pending[0]?.finish();
    await vi.waitFor(() => expect(pending).toHaveLength(2));
    pending[1]?.finish();
    expect(await Promise.all(uses)).toEqual(Array(12).fill(80 * MB));
    expect(host.stats()).toMatchObject({ loads: 2, evictions: 1 });
  });

  it("never drops a model in use: the newcomer waits, then gives up", async () => {
    const host = new ModelHost({ budgetBytes: 100 * MB, load: instantLoad, admissionMs: 50 });
    const busy = Promise.withResolvers<void>();
    const using = host.use(model("a", 80), contextOf(), () => busy.promise);
    await vi.waitFor(() => expect(host.stats().models[0]?.users).toBe(1));
    await expect(host.use(model("b", 80), contextOf(), () => {})).rejects.toMatchObject({
      code: "isolate_over_budget",
      retryAfterSeconds: 1,
    });
    const waiting = new ModelHost({ budgetBytes: 100 * MB, load: instantLoad, admissionMs: 5_000 });
    const held = Promise.withResolvers<void>();
    const first = waiting.use(model("a", 80), contextOf(), () => held.promise);
    await vi.waitFor(() => expect(waiting.stats().models[0]?.users).toBe(1));
    const second = waiting.use(model("b", 80), contextOf(), () => "ran");
    held.resolve();
    expect(await second).toBe("ran");
    await first;
    busy.resolve();
    await using;
    // Being full is not a failure to remember.
    expect(await host.use(model("b", 80), contextOf(), () => "ran")).toBe("ran");
  });

  it("lets a waiting request take over a load that shows no progress", async () => {
    const { pending, load } = pendingLoads();
    const host = new ModelHost({ budgetBytes: 100 * MB, load, stallMs: 30 });
    const manifest = model("a", 10);
    const abandoned = host.use(manifest, contextOf(), () => "first");
    abandoned.catch(() => {});
    const waiting = host.use(manifest, contextOf(), () => "second");
    await vi.waitFor(() => expect(pending.length).toBeGreaterThanOrEqual(2));
    const [stale, ...taken] = pending;
    // What went quiet may not go on behind the new load's back.
    expect(() => stale?.context.onProgress()).toThrow(/took this load over/);
    expect(stale?.context.mayGrow(99 * MB)).toBe(false);
    stale?.finish();
    for (const attempt of taken) attempt.finish();
    expect(await waiting).toBe("second");
    expect(await abandoned).toBe("first");
    expect(host.stats().takeovers).toBeGreaterThanOrEqual(1);
    expect(host.stats().heldBytes).toBe(10 * MB);
  });

  it("remembers a failed load for a short, growing back-off, and no longer", async () => {
    let now = 1_000_000;
    let broken = true;
    const load = vi.fn<typeof instantLoad>((manifest, context) =>
      broken
        ? Promise.reject(new NearsideError("model_damaged", "bad bytes"))
        : instantLoad(manifest, context),
    );
    const host = new ModelHost({ budgetBytes: 100 * MB, load });
    const use = () =>
      host.use(
        model("a", 10),
        contextOf(() => now),
        () => "ran",
      );
    await expect(use()).rejects.toMatchObject({ code: "model_damaged" });
    await expect(use()).rejects.toMatchObject({ code: "model_damaged", retryAfterSeconds: 1 });
    expect(load).toHaveBeenCalledTimes(1);
    expect(host.isFailing("a", 1, now)).toBe(true);
    now += 1_000;
    await expect(use()).rejects.toMatchObject({ code: "model_damaged" });
    expect(load).toHaveBeenCalledTimes(2);
    now += 1_500;
    await expect(use()).rejects.toMatchObject({ code: "model_damaged" });
    expect(load).toHaveBeenCalledTimes(2);
    now += 8_000;
    broken = false;
    expect(await use()).toBe("ran");
    expect(host.stats()).toMatchObject({ failures: 2, heldBytes: 10 * MB });
  });

  it("does not show what an unexpected failure said", async () => {
    const host = new ModelHost({
      budgetBytes: 100 * MB,
      load: () => Promise.reject(new Error("secret binding name")),
    });
    const failure = host.use(model("a", 10), contextOf(), () => {});
    await expect(failure).rejects.toMatchObject({
      code: "model_load_failed",
      message: "The model could not be loaded.",
    });
  });

  it("drops an instance that is spent once nobody uses it, and loads it anew", async () => {
    const host = new ModelHost({ budgetBytes: 100 * MB, load: instantLoad });
    const { promise: busy, resolve: done } = Promise.withResolvers<void>();
    const long = host.use(model("a", 10), contextOf(), () => busy);
    await host.use(model("a", 10), contextOf(), (instance) => {
      (instance as FakeModel).isSpent = true;
    });
    expect(host.stats()).toMatchObject({ heldBytes: 10 * MB, models: [{ name: "a", users: 1 }] });
    done();
    await long;
    expect(host.stats()).toMatchObject({ traps: 0, evictions: 0, heldBytes: 0, models: [] });
    const start = await host.use(model("a", 10), contextOf(), (_, how) => how);
    expect([start, host.stats().loads]).toEqual(["loaded", 2]);
  });

  it("drops an instance that trapped and loads it anew", async () => {
    const host = new ModelHost({ budgetBytes: 100 * MB, load: instantLoad });
    const use = (trap: boolean) =>
      host.use(model("a", 10), contextOf(), (instance, start) => {
        if (trap) {
          (instance as FakeModel).trap = new Error("unreachable");
          throw new NearsideError("instance_trapped", "crashed");
        }
        return start;
      });
    expect(await use(false)).toBe("loaded");
    await expect(use(true)).rejects.toMatchObject({ code: "instance_trapped" });
    expect(host.stats()).toMatchObject({ traps: 1, heldBytes: 0, models: [] });
    expect(await use(false)).toBe("loaded");
  });

  it("gives a growing model the room of idle ones, never more than the budget", async () => {
    const host = new ModelHost({ budgetBytes: 100 * MB, load: instantLoad });
    await host.use(model("idle", 30), contextOf(), () => {});
    await host.use(model("a", 40), contextOf(), (instance) => {
      expect(instance.grow(65 * MB)).toBe(true);
      expect(host.stats()).toMatchObject({ heldBytes: 95 * MB, evictions: 0 });
      expect(instance.grow(90 * MB)).toBe(true);
      expect(host.stats()).toMatchObject({ heldBytes: 90 * MB, evictions: 1 });
      expect(instance.grow(101 * MB)).toBe(false);
      expect(host.stats().heldBytes).toBe(90 * MB);
    });
  });

  it("keeps exact accounts under budget whatever happens", async () => {
    const step = fc.record({
      model: fc.integer({ min: 0, max: 5 }),
      kind: fc.constantFrom("use", "grow", "trap", "fail", "unload"),
      growth: fc.integer({ min: 0, max: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        let now = 0;
        let failNext = false;
        const alive = new Map<string, FakeModel>();
        const host: ModelHost<FakeModel> = new ModelHost<FakeModel>({
          budgetBytes: 100 * MB,
          admissionMs: 0,
          async load(manifest, context) {
            if (failNext) throw new Error("no bytes");
            const loaded = await instantLoad(manifest, context);
            alive.set(manifest.name, loaded);
            return loaded;
          },
        });
        for (const { model: index, kind, growth } of steps) {
          now += 10_000;
          failNext = kind === "fail";
          const manifest = model(`m${index}`, 15 + index * 10);
          let outcome: unknown = "unloaded";
          if (kind === "unload") host.unload(manifest.name, 1);
          else {
            outcome = await host
              .use(
                manifest,
                contextOf(() => now),
                (instance) => {
                  if (kind === "grow") instance.grow(instance.heapBytes + growth * MB);
                  if (kind === "trap") instance.trap = new Error("trap");
                  return "answered";
                },
              )
              .catch((error: unknown) => (error instanceof NearsideError ? "refused" : error));
          }
          expect(["answered", "refused", "unloaded"]).toContain(outcome);
          const { heldBytes, models } = host.stats();
          expect(heldBytes).toBeLessThanOrEqual(100 * MB);
          const real = models.map(({ name }) => alive.get(name)?.heapBytes ?? Number.NaN);
          expect(heldBytes).toBe(real.reduce((sum, bytes) => sum + bytes, 0));
        }
      }),
      { numRuns: 60 },
    );
  });
});
