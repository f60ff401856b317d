import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { MAX_PASSING_MS, type Passing, passThrough } from "../../src/protocol/pass-through.ts";

const IDLE_MS = 1_000;
/** The origin Worker's word comes first. */
const VERDICT_MS = 150;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A source that gives what it is told to, and says when nobody wants it any more. */
function passing(more: Partial<Passing> = {}) {
  const state = { isCancelled: false };
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const source = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    cancel() {
      state.isCancelled = true;
    },
  });
  const caller = new AbortController();
  const passed = passThrough(source, {
    status: 200,
    signal: caller.signal,
    idleMs: IDLE_MS,
    ...more,
  });
  return {
    ...passed,
    state,
    caller,
    reader: passed.body.getReader(),
    give: (byte: number) => controller?.enqueue(Uint8Array.of(byte)),
    close: () => controller?.close(),
  };
}

describe("passThrough", () => {
  it("passes a body on, and says that it was all there", async () => {
    const { reader, give, close, ended } = passing();
    give(7);
    expect((await reader.read()).value).toEqual(Uint8Array.of(7));
    close();
    expect((await reader.read()).done).toBe(true);
    expect(await ended).toEqual({ outcome: "ok", status: 200 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("gives up a source that says nothing for too long, and frees its place", async () => {
    const { reader, give, ended, state } = passing();
    give(7);
    await reader.read();
    const next = reader.read();
    const failure = next.catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(IDLE_MS + VERDICT_MS - 1);
    expect(state.isCancelled).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await failure).toMatchObject({ code: "origin_timeout" });
    expect(await ended).toEqual({ outcome: "origin_timeout", status: 504 });
    expect(state.isCancelled).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("counts the silence from the last chunk, and not while the reader is slow", async () => {
    const { reader, give, state } = passing();
    for (const byte of [1, 2, 3]) {
      await vi.advanceTimersByTimeAsync(IDLE_MS * 5);
      const next = reader.read();
      await vi.advanceTimersByTimeAsync(IDLE_MS);
      give(byte);
      expect((await next).value).toEqual(Uint8Array.of(byte));
    }
    expect(state.isCancelled).toBe(false);
  });

  it("ends what nobody takes, in the end", async () => {
    const { give, ended, state, reader } = passing();
    give(7);
    await reader.read();
    await vi.advanceTimersByTimeAsync(MAX_PASSING_MS);
    expect(await ended).toEqual({ outcome: "origin_timeout", status: 504 });
    expect(state.isCancelled).toBe(true);
    await expect(reader.read()).rejects.toMatchObject({ code: "origin_timeout" });
  });

  it("tells the caller why, where the body has a way to say it", async () => {
    const text = new TextEncoder();
    const filter = {
      push: (chunk: Uint8Array) => chunk,
      end: () => new Uint8Array(),
      broken: (why: string) => text.encode(why),
    };
    const { reader } = passing({ filter });
    const next = reader.read();
    await vi.advanceTimersByTimeAsync(IDLE_MS + VERDICT_MS);
    expect(new TextDecoder().decode((await next).value)).toBe("origin_timeout");
    expect((await reader.read()).done).toBe(true);
  });

  it.each(["leaves", "stops reading"])("frees the place of a caller who %s", async (how) => {
    const { caller, reader, ended, state } = passing();
    if (how === "leaves") caller.abort();
    else await reader.cancel();
    expect(await ended).toEqual({ outcome: "cancelled", status: 499 });
    expect(state.isCancelled).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});
