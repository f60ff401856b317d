import { describe, expect, it, vi } from "vitest";

import type { Manifest } from "../../src/catalog/manifest.ts";
import { type HostContext, type LoadContext, ModelHost } from "../../src/runtime/host.ts";
import { manifestOf } from "../support/manifests.ts";

const MB = 1_000_000;

const model = (name: string, megabytes: number) =>
  manifestOf({ name, memory: { heapBytes: megabytes * MB, taskBytes: 0 } });

const caller: HostContext = { now: () => Date.now(), waitUntil: () => {} };
const guest: HostContext = { ...caller, isGuest: true };

function hostOf(
  more: (manifest: Manifest, context: LoadContext) => Promise<unknown> = async () => {},
) {
  const loads = new Map<string, LoadContext>();
  const host = new ModelHost({
    budgetBytes: 100 * MB,
    admissionMs: 20,
    load: async (manifest, context) => {
      loads.set(manifest.name, context);
      await more(manifest, context);
      return { heapBytes: manifest.memory.heapBytes, trap: undefined, start: "loaded" as const };
    },
  });
  const names = (): string[] => host.stats().models.map(({ name }) => name);
  return { host, loads, names };
}

describe("a guest of the host", () => {
  it("has room beside what is held, or where its model is already", async () => {
    const { host } = hostOf();
    expect(host.hasRoomFor(model("a", 100))).toBe(true);
    await host.use(model("a", 60), caller, () => {});
    expect(host.hasRoomFor(model("b", 40))).toBe(true);
    expect(host.hasRoomFor(model("b", 41))).toBe(false);
    expect(host.hasRoomFor(model("a", 60))).toBe(true);
    expect([host.isLoaded(model("a", 60)), host.isLoaded(model("b", 40))]).toEqual([true, false]);
  });

  it("makes nobody leave, neither to load nor for what a load takes on the way", async () => {
    const { host, names } = hostOf(({ name }, context) =>
      name === "b" ? context.stage(20 * MB) : Promise.resolve(),
    );
    await host.use(model("a", 60), caller, () => {});
    for (const size of [30, 50]) {
      await expect(host.use(model("b", size), guest, () => {})).rejects.toMatchObject({
        code: "isolate_over_budget",
      });
    }
    expect(names()).toEqual(["a"]);
    expect(host.stats()).toMatchObject({ evictions: 0, heldBytes: 60 * MB });
    expect(await host.use(model("b", 30), caller, () => "ran")).toBe("ran");
  });

  it("may not grow at others' cost, where a caller's model may", async () => {
    const { host, loads, names } = hostOf();
    await host.use(model("a", 50), caller, () => {});
    const grow = () => loads.get("b")?.mayGrow(70 * MB);
    expect(await host.use(model("b", 40), guest, grow)).toBe(false);
    expect(names()).toEqual(["a", "b"]);
    expect(await host.use(model("b", 40), caller, grow)).toBe(true);
    expect(names()).toEqual(["b"]);
  });

  it("leaves before the models of callers do", async () => {
    const { host, names } = hostOf();
    await host.use(model("a", 40), caller, () => {});
    await host.use(model("b", 40), guest, () => {});
    await host.use(model("c", 40), caller, () => {});
    expect(names()).toEqual(["a", "c"]);
  });

  it("has its load taken over by a caller who waits for it: for them others leave", async () => {
    const staging = Promise.withResolvers<void>();
    const { host, names } = hostOf(async ({ name }, context) => {
      if (name !== "b") return;
      await staging.promise;
      await context.stage(30 * MB);
    });
    await host.use(model("a", 60), caller, () => {});
    const shadow = host.use(model("b", 40), guest, () => "guest");
    await vi.waitFor(() => expect(names()).toEqual(["a", "b"]));
    const answer = host.use(model("b", 40), caller, () => "caller");
    staging.resolve();
    expect(await Promise.all([shadow, answer])).toEqual(["guest", "caller"]);
    expect(names()).toEqual(["b"]);
  });
});
