import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ReplayGuard } from "../../src/origin/replay-guard.ts";

describe("ReplayGuard", () => {
  it("takes a nonce once", () => {
    const guard = new ReplayGuard();
    expect([1, 2, 3].map((now) => guard.remember("a", 10, now))).toEqual(["new", "seen", "seen"]);
    expect(guard.remember("b", 10, 3)).toBe("new");
  });

  it("remembers a nonce up to its last second, and not after", () => {
    const guard = new ReplayGuard();
    guard.remember("a", 10, 0);
    expect(guard.remember("a", 10, 10)).toBe("seen");
    expect(guard.remember("a", 20, 11)).toBe("new");
    expect(guard.remember("a", 20, 11)).toBe("seen");
  });

  it("refuses when it is full, and forgets nothing that matters", () => {
    const guard = new ReplayGuard({ capacity: 2 });
    guard.remember("a", 10, 0);
    guard.remember("b", 10, 0);
    expect(guard.remember("c", 10, 1)).toBe("full");
    expect(guard.remember("a", 10, 1)).toBe("seen");
    expect(guard.remember("b", 10, 1)).toBe("seen");
  });

  it("has room again when nonces expire, in whatever order they came", () => {
    const guard = new ReplayGuard({ capacity: 3 });
    guard.remember("late", 100, 0);
    guard.remember("early", 10, 0);
    guard.remember("middle", 50, 0);
    expect(guard.remember("c", 100, 10)).toBe("full");
    expect(guard.remember("c", 100, 11)).toBe("new");
    expect(guard.remember("d", 100, 11)).toBe("full");
    expect(guard.remember("late", 100, 11)).toBe("seen");
  });

  it("holds no more than what may still be replayed", () => {
    const guard = new ReplayGuard();
    for (let now = 0; now < 1000; now++) guard.remember(`nonce-${now}`, now + 9, now);
    expect(guard.size).toBe(10);
  });

  it("never takes a nonce twice within its life, nor grows beyond its capacity", () => {
    const step = fc.record({
      nonce: fc.constantFrom("a", "b", "c", "d", "e", "f"),
      lifetime: fc.nat(20),
      elapsed: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const guard = new ReplayGuard({ capacity: 4 });
        const taken = new Map<string, number>();
        let now = 0;
        for (const { nonce, lifetime, elapsed } of steps) {
          now += elapsed;
          const isHeld = (taken.get(nonce) ?? -1) >= now;
          const held = [...taken.values()].filter((until) => until >= now).length;
          const expected = isHeld ? "seen" : held >= 4 ? "full" : "new";
          expect(guard.remember(nonce, now + lifetime, now)).toBe(expected);
          if (expected === "new") taken.set(nonce, now + lifetime);
          expect(guard.size).toBeLessThanOrEqual(4);
        }
      }),
    );
  });
});
