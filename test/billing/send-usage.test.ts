import { describe, expect, it, vi } from "vitest";

import { type UsageQueue, UsageSender } from "../../src/billing/send-usage.ts";
import type { UsageEvent } from "../../src/billing/usage-event.ts";

const event = (id: string): UsageEvent => ({
  schema: 1,
  kind: "request",
  id,
  at: 1,
  requestId: "r",
  model: "m",
  version: 1,
  catalog: 1,
  placement: "edge",
  units: {},
  milliseconds: 1,
  reason: "STABLE",
  outcome: "ok",
  status: 200,
  billed: true,
});

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
    add: (...ids: string[]) => {
      for (const id of ids) usage.add(event(id), context);
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
    expect(usage.stats).toEqual({ sent: 4, lost: 0 });
  });

  it("sends no more than a batch may hold", async () => {
    const sizes: number[] = [];
    const { add, settled, waited } = senderOf(async (messages) => sizes.push(messages.length));
    add(...Array.from({ length: 215 }, (_, index) => String(index)));
    await settled();
    expect(sizes).toEqual([100, 100, 15]);
    expect(waited).toEqual([5, 50]);
  });

  it("tries once more after a short wait", async () => {
    const sendBatch = vi
      .fn<UsageQueue["sendBatch"]>()
      .mockRejectedValueOnce(new Error("busy"))
      .mockResolvedValue(undefined);
    const { add, settled, usage, waited, lost } = senderOf(sendBatch);
    add("a");
    await settled();
    expect(sendBatch.mock.calls[1]).toEqual(sendBatch.mock.calls[0]);
    expect([waited, lost]).toEqual([[5, 100], []]);
    expect(usage.stats).toEqual({ sent: 1, lost: 0 });
  });

  it("counts and logs by id what the queue refuses twice, and goes on", async () => {
    let isDown = true;
    const { add, settled, usage, lost } = senderOf(() =>
      isDown ? Promise.reject(new Error("down")) : Promise.resolve(),
    );
    add("a", "b");
    await settled();
    expect(lost).toEqual([
      { name: "usage_lost", id: "a" },
      { name: "usage_lost", id: "b" },
    ]);
    isDown = false;
    add("c");
    await settled();
    expect(usage.stats).toEqual({ sent: 1, lost: 2 });
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
    expect(usage.stats).toEqual({ sent: 3, lost: 0 });
  });

  it("keeps a bounded number of events for a queue that hangs", () => {
    const { add, usage, lost } = senderOf(() => new Promise(() => {}));
    add(...Array.from({ length: 2_001 }, (_, index) => String(index)));
    expect(lost).toEqual([{ name: "usage_lost", id: "2000" }]);
    expect(usage.stats.lost).toBe(1);
  });

  it("keeps nothing where there is no queue", () => {
    const { add, held, usage } = senderOf(undefined);
    add("a");
    expect([usage.isOn, held]).toEqual([false, []]);
  });
});
