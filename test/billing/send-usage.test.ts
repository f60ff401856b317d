import { describe, expect, it, vi } from "vitest";

import { type UsageQueue, UsageSender } from "../../src/billing/send-usage.ts";
import type { RequestEvent, UsageEvent } from "../../src/billing/usage-event.ts";
import { requestEvent, shadowEvent } from "../support/usage-events.ts";

const event = (id: string, more: Partial<RequestEvent> = {}): RequestEvent =>
  requestEvent({ id, ...more });

/** A request that somebody pays for. */
const bill = (id: string): RequestEvent =>
  event(id, { billing: { account: "acc_a", key: "k", price: "p", amount: 1, lease: "l" } });

/** A sender whose waits pass at once, and requests that hold its work. */
function senderOf(sendBatch: UsageQueue["sendBatch"] | undefined) {
  const waited: number[] = [];
  const lost: unknown[] = [];
  const held: Promise<unknown>[] = [];
  let now = 0;
  const usage = new UsageSender(sendBatch && { sendBatch }, async (milliseconds) => {
    waited.push(milliseconds);
  });
  const context = {
    now: () => now,
    waitUntil: (promise: Promise<unknown>) => held.push(promise),
    log: {
      warn: () => {},
      error: (name: string, _cause: unknown, fields: object = {}) => lost.push({ name, ...fields }),
    },
  };
  return {
    usage,
    waited,
    lost,
    held,
    add: (...events: (string | UsageEvent)[]) => {
      for (const one of events) usage.add(typeof one === "string" ? event(one) : one, context);
    },
    pass: (milliseconds: number) => (now += milliseconds),
    settled: () => Promise.all(held),
  };
}

describe("UsageSender", () => {
  it("sends what comes together in one call, each event once, in order", async () => {
    const sent: string[][] = [];
    const { add, held, settled, usage } = senderOf(async (messages) => {
      sent.push(messages.map(({ body }) => body.id));
    });
    add("a", "b", "c");
    expect(sent).toEqual([]);
    await settled();
    add("d");
    await settled();
    expect(sent).toEqual([["a", "b", "c"], ["d"]]);
    expect(held).toHaveLength(2);
    expect(usage.stats).toEqual({ sent: 4, lost: 0, waiting: 0 });
  });

  it("sends no more than a batch may hold", async () => {
    const sizes: number[] = [];
    const { add, settled, waited } = senderOf(async (messages) => sizes.push(messages.length));
    add(...Array.from({ length: 215 }, (_, index) => String(index)));
    await settled();
    expect(sizes).toEqual([100, 100, 15]);
    expect(waited).toEqual([5, 50]);
  });

  it("tries again, waiting longer each time, until a hiccup is over", async () => {
    const sendBatch = vi
      .fn<UsageQueue["sendBatch"]>()
      .mockRejectedValueOnce(new Error("busy"))
      .mockRejectedValueOnce(new Error("busy"))
      .mockRejectedValueOnce(new Error("busy"))
      .mockResolvedValue(undefined);
    const { add, settled, usage, waited, lost } = senderOf(sendBatch);
    add(bill("a"));
    await settled();
    expect(sendBatch.mock.calls.at(-1)).toEqual(sendBatch.mock.calls[0]);
    expect([waited, lost]).toEqual([[5, 100, 200, 400], []]);
    expect(usage.stats).toEqual({ sent: 1, lost: 0, waiting: 0 });
  });

  it("keeps what a queue that is down does not take, and the next request sends it", async () => {
    let isDown = true;
    const sent: string[] = [];
    const { add, settled, usage, lost, waited } = senderOf(async (messages) => {
      if (isDown) throw new Error("down");
      sent.push(...messages.map(({ body }) => body.id));
    });
    add(bill("a"), bill("b"));
    await settled();
    expect(Math.max(...waited)).toBe(3_200);
    expect(lost).toEqual([{ name: "usage_waits", events: 2 }]);
    expect(usage.stats).toEqual({ sent: 0, lost: 0, waiting: 2 });
    isDown = false;
    add(bill("c"));
    await settled();
    expect(sent.toSorted()).toEqual(["a", "b", "c"]);
    expect(usage.stats).toEqual({ sent: 3, lost: 0, waiting: 0 });
  });

  it("loses of a batch only the one event that the queue never takes", async () => {
    const sent: string[] = [];
    const { add, settled, usage, lost } = senderOf(async (messages) => {
      const ids = messages.map(({ body }) => body.id);
      if (ids.includes("13")) throw new Error("Message length is over the limit.");
      sent.push(...ids);
    });
    const ids = Array.from({ length: 40 }, (_, index) => String(index));
    add(...ids.map(bill));
    for (let request = 100; request < 110; request++) {
      await settled();
      add(bill(String(request)));
    }
    await settled();
    expect(sent.filter((id) => Number(id) < 100).toSorted()).toEqual(
      ids.filter((id) => id !== "13").toSorted(),
    );
    expect(new Set(sent).size).toBe(sent.length);
    expect(lost).toContainEqual({ name: "usage_lost", id: "13" });
    expect(usage.stats).toEqual({ sent: 49, lost: 1, waiting: 0 });
  });

  it("never sends a shadow with a bill, and bills first", async () => {
    const sent: string[][] = [];
    const { add, settled } = senderOf(async (messages) => {
      sent.push(messages.map(({ body }) => body.kind));
    });
    add(shadowEvent(), bill("a"), shadowEvent(), bill("b"));
    await settled();
    expect(sent).toEqual([
      ["request", "request"],
      ["shadow", "shadow"],
    ]);
  });

  it("sends shadows past a bill that the queue never takes", async () => {
    const sent: string[] = [];
    const { add, settled, usage } = senderOf(async (messages) => {
      for (const { body } of messages) if (body.id === "a") throw new Error("too large");
      for (const { body } of messages) sent.push(body.id);
    });
    add(bill("a"), shadowEvent({ id: "s" }), shadowEvent({ id: "t" }));
    await settled();
    expect(sent).toEqual(["s", "t"]);
    expect(usage.stats).toMatchObject({ sent: 2, waiting: 1 });
  });

  it("sends an event small, however much there is to tell", async () => {
    const sizes: number[] = [];
    const { add, settled } = senderOf(async (messages) => {
      sizes.push(JSON.stringify(messages).length);
    });
    const distances = Array.from({ length: 65_536 }, () => Math.PI / 10);
    const flag = "f".repeat(300_000);
    const comparison = { kind: "embedding", items: 65_536, flips: 0, distances } as const;
    add(
      ...Array.from({ length: 12 }, () => shadowEvent({ comparison })),
      event("a", { flag, variant: flag, reason: flag }),
    );
    await settled();
    expect(sizes).toHaveLength(3);
    for (const size of sizes) expect(size).toBeLessThan(256_000);
  });

  it("hands over to the next request when the one that sends was dropped", async () => {
    const sent: string[] = [];
    let isDropped = true;
    const { add, pass, held, usage } = senderOf(async (messages) => {
      if (isDropped) await new Promise(() => {});
      for (const { body } of messages) sent.push(body.id);
    });
    add("a");
    await Promise.resolve();
    pass(4_999);
    add("b");
    expect(held).toHaveLength(1);
    pass(1);
    // Its batch may have arrived: it is sent again rather than lost.
    isDropped = false;
    add("c");
    await held[1];
    expect(sent).toEqual(["a", "b", "c"]);
    expect(usage.stats).toEqual({ sent: 3, lost: 0, waiting: 0 });
  });

  it("keeps a bounded number of events for a queue that hangs: of bills, the first", () => {
    const { add, usage, lost } = senderOf(() => new Promise(() => {}));
    add(...Array.from({ length: 2_001 }, (_, index) => bill(String(index))));
    expect(lost).toEqual([{ name: "usage_lost", id: "2000" }]);
    expect(usage.stats).toEqual({ sent: 0, lost: 1, waiting: 2_000 });
  });

  it("makes room for a bill by dropping a shadow, and then what nobody pays for", () => {
    const { add, lost } = senderOf(() => new Promise(() => {}));
    add(event("free"), shadowEvent({ id: "shadow" }));
    add(...Array.from({ length: 2_001 }, (_, index) => bill(String(index))));
    add(event("late"));
    expect(lost.map((line) => (line as { id: string }).id)).toEqual([
      "shadow",
      "free",
      "2000",
      "late",
    ]);
  });

  it("keeps nothing where there is no queue", () => {
    const { add, held, usage } = senderOf(undefined);
    add("a");
    expect([usage.isOn, held]).toEqual([false, []]);
  });
});
