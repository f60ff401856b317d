import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { KeyCache, REVOCATION_SECONDS } from "../../src/accounts/key-cache.ts";

interface Value {
  readonly version: number;
}

/** A store that counts its reads. */
function storeOf(values: Record<string, Value> = {}) {
  const reads: string[] = [];
  const readOf = (id: string) => async (): Promise<Value | undefined> => {
    reads.push(id);
    return values[id];
  };
  return { values, reads, readOf };
}

describe("KeyCache", () => {
  it("remembers what it found for a minute", async () => {
    const { values, reads, readOf } = storeOf({ a: { version: 1 } });
    const cache = new KeyCache<Value>();
    expect(await cache.get("a", 0, readOf("a"))).toEqual({ version: 1 });
    values.a = { version: 2 };
    expect(await cache.get("a", 59_999, readOf("a"))).toEqual({ version: 1 });
    expect(reads).toHaveLength(1);
    expect(await cache.get("a", 60_000, readOf("a"))).toEqual({ version: 2 });
  });

  it("remembers what it did not find for ten seconds", async () => {
    const { values, reads, readOf } = storeOf();
    const cache = new KeyCache<Value>();
    expect(await cache.get("a", 0, readOf("a"))).toBeUndefined();
    values.a = { version: 1 };
    expect(await cache.get("a", 9999, readOf("a"))).toBeUndefined();
    expect(reads).toHaveLength(1);
    expect(await cache.get("a", 10_000, readOf("a"))).toEqual({ version: 1 });
    expect(await cache.get("a", 69_999, readOf("a"))).toEqual({ version: 1 });
    expect(reads).toHaveLength(2);
  });

  it("forgets a key that is gone, and does not prolong its life by use", async () => {
    const { values, readOf } = storeOf({ a: { version: 1 } });
    const cache = new KeyCache<Value>();
    for (let now = 0; now < 60_000; now += 7000) await cache.get("a", now, readOf("a"));
    delete values.a;
    expect(await cache.get("a", 60_000, readOf("a"))).toBeUndefined();
    expect(cache.size).toBe(1);
  });

  it("documents the sum of both caches", () => {
    expect(REVOCATION_SECONDS).toBe(90);
  });

  it("lets each of several requests read for itself", async () => {
    const { reads, readOf } = storeOf({ a: { version: 1 } });
    const cache = new KeyCache<Value>();
    const hanging = cache.get("a", 0, () => new Promise<undefined>(() => {}));
    const answers = await Promise.all([
      cache.get("a", 0, readOf("a")),
      cache.get("a", 0, readOf("a")),
    ]);
    expect(answers).toEqual([{ version: 1 }, { version: 1 }]);
    expect(reads).toHaveLength(2);
    expect(await Promise.race([hanging, cache.get("a", 1, readOf("a"))])).toEqual({ version: 1 });
  });

  it("keeps the later of two reads, whichever ends first", async () => {
    const cache = new KeyCache<Value>();
    const early = Promise.withResolvers<Value>();
    const reading = cache.get("a", 0, () => early.promise);
    expect(await cache.get("a", 1000, async () => undefined)).toBeUndefined();
    early.resolve({ version: 1 });
    expect(await reading).toEqual({ version: 1 });
    const { reads, readOf } = storeOf();
    expect(await cache.get("a", 2000, readOf("a"))).toBeUndefined();
    expect(reads).toEqual([]);
  });

  it("counts an entry's age from the start of its read", async () => {
    const { reads, readOf } = storeOf({ a: { version: 2 } });
    const cache = new KeyCache<Value>();
    const slow = Promise.withResolvers<Value>();
    const reading = cache.get("a", 0, () => slow.promise);
    slow.resolve({ version: 1 });
    await reading;
    expect(await cache.get("a", 60_000, readOf("a"))).toEqual({ version: 2 });
    expect(reads).toHaveLength(1);
  });

  it("does not remember a read that failed, nor answer with what is too old", async () => {
    const { values, readOf } = storeOf({ a: { version: 1 } });
    const cache = new KeyCache<Value>();
    await cache.get("a", 0, readOf("a"));
    const failing = cache.get("a", 60_000, () => Promise.reject(new Error("KV is down")));
    await expect(failing).rejects.toThrow("KV is down");
    values.a = { version: 2 };
    expect(await cache.get("a", 60_000, readOf("a"))).toEqual({ version: 2 });
  });

  it("drops the least recently used when it is full", async () => {
    const { reads, readOf } = storeOf({ a: { version: 1 }, b: { version: 1 }, c: { version: 1 } });
    const cache = new KeyCache<Value>(3);
    for (const id of ["a", "b", "a", "c", "a"]) await cache.get(id, 0, readOf(id));
    expect(reads).toEqual(["a", "b", "c"]);
    await cache.get("b", 0, readOf("b"));
    expect(reads).toEqual(["a", "b", "c", "b"]);
  });

  it("holds 10,000 entries at most, and no flood of made-up keys evicts a real one", async () => {
    const { reads, readOf } = storeOf({ real: { version: 1 } });
    const cache = new KeyCache<Value>();
    await cache.get("real", 0, readOf("real"));
    for (let index = 0; index < 20_000; index++) {
      await cache.get(`made-up ${index}`, 0, async () => undefined);
    }
    await cache.get("real", 0, readOf("real"));
    expect(reads).toEqual(["real"]);
    for (let index = 0; index < 20_000; index++) {
      await cache.get(`found ${index}`, 0, async () => ({ version: index }));
    }
    expect(cache.size).toBe(10_000);
  });

  it("never answers with what was true longer ago than it says, and never overflows", async () => {
    const step = fc.record({
      id: fc.constantFrom("a", "b", "c", "d", "e", "f"),
      wait: fc.integer({ min: 0, max: 20_000 }),
      change: fc.constantFrom("none", "put", "delete"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const { values, readOf } = storeOf();
        const history: { at: number; id: string; value: Value | undefined }[] = [];
        const cache = new KeyCache<Value>(4);
        let now = 0;
        for (const [version, { id, wait, change }] of steps.entries()) {
          now += wait;
          if (change === "put") values[id] = { version };
          if (change === "delete") delete values[id];
          history.push({ at: now, id, value: values[id] });
          const answer = await cache.get(id, now, readOf(id));
          const since = now - (answer === undefined ? 10_000 : 60_000);
          const ofId = history.filter((each) => each.id === id);
          const before = ofId.findLast(({ at }) => at <= since);
          const possible = [
            before?.value,
            ...ofId.filter(({ at }) => at > since).map((each) => each.value),
          ];
          expect(possible).toContainEqual(answer);
          expect(cache.size).toBeLessThanOrEqual(4);
        }
      }),
      { numRuns: 100 },
    );
  });
});
