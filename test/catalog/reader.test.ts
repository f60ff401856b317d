import { afterEach, describe, expect, it, vi } from "vitest";

import { type Catalog, compileCatalog } from "../../src/catalog/catalog.ts";
import {
  CATALOG_KV_KEY,
  type CatalogNamespace,
  CatalogReader,
  FRESH_MS,
  STALE_MS,
} from "../../src/catalog/reader.ts";
import { manifestOf } from "../support/manifests.ts";

function catalogOf(number: number): Catalog {
  const models = { iris: { versions: [1], labels: { stable: 1 } } };
  return compileCatalog({ schema: 1, number, models }, () => manifestOf({ name: "iris" }));
}

const text = (number: number): string => JSON.stringify(catalogOf(number));

type Answer = string | null | Error | "hangs" | "throws";

/** A reader, the namespace that it reads, a clock, and what it put off until after the answer. */
function setUp(answer: Answer = text(1)) {
  const asked: Parameters<CatalogNamespace["get"]>[] = [];
  const failures: unknown[] = [];
  const background: Promise<unknown>[] = [];
  const world = { answer, now: 1_000_000 };
  const reader = new CatalogReader(
    {
      get(...words) {
        asked.push(words);
        const { answer: now } = world;
        if (now === "throws") throw new Error("KV is not bound");
        if (now === "hangs") return new Promise<never>(() => {});
        return now instanceof Error ? Promise.reject(now) : Promise.resolve(now);
      },
    },
    (cause) => failures.push(cause),
  );
  const get = () =>
    reader.get({ now: () => world.now, waitUntil: (promise) => background.push(promise) });
  const settle = () => Promise.all(background.splice(0));
  return { world, reader, get, asked, failures, background, settle };
}

afterEach(() => void vi.useRealTimers());

describe("CatalogReader", () => {
  it("reads once while the catalog is fresh", async () => {
    const { world, reader, get, asked, background } = setUp();
    const first = await get();
    expect(first).toEqual(catalogOf(1));
    world.now += FRESH_MS - 1;
    world.answer = text(2);
    expect(await get()).toBe(first);
    expect(background).toHaveLength(0);
    expect(asked).toEqual([[CATALOG_KV_KEY, { type: "text", cacheTtl: 30 }]]);
    expect(reader.stats()).toEqual({ reads: 1, failures: 0 });
  });

  it("answers with the old one at once and reads after the answer when it is no longer fresh", async () => {
    const { world, get, settle, background } = setUp();
    await get();
    world.now += FRESH_MS;
    world.answer = text(2);
    expect((await get()).number).toBe(1);
    expect(background).toHaveLength(1);
    await settle();
    expect((await get()).number).toBe(2);
    expect(background).toHaveLength(0);
  });

  it("starts one read for many requests", async () => {
    const { world, get, asked } = setUp();
    await get();
    world.now += FRESH_MS;
    await Promise.all(Array.from({ length: 20 }, get));
    expect(asked).toHaveLength(2);
  });

  it("waits for a new one when it is stale", async () => {
    const { world, get, background } = setUp();
    await get();
    world.now += STALE_MS;
    world.answer = text(2);
    expect((await get()).number).toBe(2);
    expect(background).toHaveLength(0);
  });

  it("keeps the same object while the text is the same, and is fresh again", async () => {
    const { world, get, settle, background } = setUp();
    const first = await get();
    world.now += FRESH_MS;
    await get();
    await settle();
    world.now += FRESH_MS - 1;
    expect(await get()).toBe(first);
    expect(background).toHaveLength(0);
  });

  const BAD: [string, Answer, RegExp][] = [
    ["fails", new Error("KV GET failed: 500"), /500/],
    ["throws", "throws", /not bound/],
    ["holds nothing", null, /nothing was published/],
    ["holds no JSON", text(2).slice(0, -1), /JSON/],
    ["holds no catalog", JSON.stringify({ schema: 2, models: {} }), /schema|Expected/],
    ["holds a broken manifest", text(2).replace('"licence"', '"license"'), /licence/],
  ];

  it.each(BAD)("goes on with the last good one when KV %s", async (_, answer, message) => {
    const { world, reader, get, settle, asked, failures } = setUp();
    const first = await get();
    world.answer = answer;
    world.now += FRESH_MS;
    expect(await get()).toBe(first);
    await settle();
    world.now += STALE_MS;
    expect(await get()).toBe(first);
    expect(asked).toHaveLength(3);
    // One attempt per FRESH_MS, however many requests ask.
    world.now += FRESH_MS - 1;
    expect(await get()).toBe(first);
    expect(asked).toHaveLength(3);
    expect(failures.map(String)).toEqual([
      expect.stringMatching(message),
      expect.stringMatching(message),
    ]);
    expect(reader.stats()).toEqual({ reads: 3, failures: 2 });
    world.now += 1;
    world.answer = text(3);
    expect((await get()).number).toBe(3);
  });

  it.each(BAD)("is catalog_unavailable when KV %s and there was never one", async (_, answer) => {
    const { world, get, failures } = setUp(answer);
    await expect(get()).rejects.toMatchObject({
      code: "catalog_unavailable",
      retryAfterSeconds: 1,
      message: "The catalog of models can't be read right now.",
    });
    expect(failures).toHaveLength(1);
    // Nothing is remembered of it: the next request tries anew.
    world.answer = text(1);
    expect((await get()).number).toBe(1);
  });

  it("gives up a read that hangs, and answers with the old catalog", async () => {
    vi.useFakeTimers();
    const { world, get, failures } = setUp();
    await get();
    world.now += STALE_MS;
    world.answer = "hangs";
    const waiting = get();
    await vi.runAllTimersAsync();
    expect((await waiting).number).toBe(1);
    expect(failures.map(String)).toEqual(["Error: KV did not answer in time."]);
  });

  it("is catalog_unavailable when the first read hangs", async () => {
    vi.useFakeTimers();
    const { get } = setUp("hangs");
    const outcome = get().catch((error: unknown) => error);
    await vi.runAllTimersAsync();
    expect(await outcome).toMatchObject({ code: "catalog_unavailable" });
  });

  it("does not let a read that hangs in the background hold up anybody", async () => {
    vi.useFakeTimers();
    const { world, get, settle, reader } = setUp();
    await get();
    world.now += FRESH_MS;
    world.answer = "hangs";
    expect((await get()).number).toBe(1);
    world.now += FRESH_MS - 1;
    expect((await get()).number).toBe(1);
    await vi.runAllTimersAsync();
    await settle();
    expect(reader.stats()).toEqual({ reads: 2, failures: 1 });
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers();
    const { get } = setUp();
    await get();
    expect(vi.getTimerCount()).toBe(0);
  });
});
