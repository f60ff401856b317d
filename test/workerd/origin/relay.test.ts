import { describe, expect, it } from "vitest";

import { MAX_STREAM_MS, UNREAD_MS, relay } from "../../../src/origin/relay.ts";
import { SimulatedClock } from "../../origin/support.ts";

const PIECE = new TextEncoder().encode("data: 1\n\n");
const IDLE_MS = 10_000;

/** An endpoint that always has one piece more, and a reader that takes what the test takes. */
function endless() {
  const clock = new SimulatedClock();
  let cancelled = false;
  const { readable, ended } = relay(
    {
      kind: "stream",
      first: PIECE,
      rest: {
        read: () => Promise.resolve(PIECE),
        cancel: async () => void (cancelled = true),
      },
      length: undefined,
      events: true,
    },
    { idleMs: IDLE_MS, clock, signal: new AbortController().signal },
  );
  let end: string | undefined;
  void ended.then((how) => (end = how));
  /** What waits for microtasks has gone on by then. */
  const settled = () => new Promise((resolve) => setTimeout(resolve, 1));
  return {
    clock,
    reader: readable.getReader(),
    ended,
    settled,
    end: () => end,
    cancelled: () => cancelled,
  };
}

describe("a reader that takes nothing", () => {
  it("gives its place back after a while, and the endpoint stops", async () => {
    const { clock, ended, settled, end, cancelled } = endless();
    await settled();
    clock.advance(UNREAD_MS - 1);
    await settled();
    expect(end()).toBeUndefined();
    clock.advance(IDLE_MS);
    expect(await ended).toBe("unread");
    expect(cancelled()).toBe(true);
    expect(clock.timers).toBe(0);
  });

  it("may be slow", async () => {
    const { clock, reader, settled, end } = endless();
    for (let read = 0; read < 10; read++) {
      await reader.read();
      await settled();
      clock.advance(UNREAD_MS / 2);
    }
    await settled();
    expect(end()).toBeUndefined();
    await reader.cancel();
  });

  it("but not for ever", async () => {
    const { clock, reader, settled, ended, end } = endless();
    for (let at = 0; at < MAX_STREAM_MS && end() === undefined; at += UNREAD_MS / 2) {
      await reader.read();
      await settled();
      clock.advance(UNREAD_MS / 2);
      await settled();
    }
    expect(await ended).toBe("unread");
    expect(clock.now()).toBe(MAX_STREAM_MS);
  });
});
