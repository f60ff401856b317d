import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { Admission, type AdmissionRequest } from "../../src/origin/admission.ts";
import { SimulatedClock } from "./support.ts";

/** Lets everything that is ready happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await Promise.resolve();
}

/** An admission whose outcomes can be looked at without waiting. */
function watched(maxInFlight: number, length: number, waitMs = 2_000) {
  const clock = new SimulatedClock();
  const admission = new Admission({ maxInFlight, queue: { length, waitMs } }, clock);
  const admitted: string[] = [];
  const refused: Record<string, unknown> = {};
  const leave: Record<string, () => void> = {};
  const enter = async (name: string, request: Partial<AdmissionRequest> = {}): Promise<void> => {
    const entering = async (): Promise<void> => {
      try {
        leave[name] = await admission.enter({ priority: 1, ...request });
        admitted.push(name);
      } catch (error) {
        refused[name] = error;
      }
    };
    void entering();
    await settle();
  };
  const finish = async (name: string): Promise<void> => {
    leave[name]?.();
    await settle();
  };
  const pass = async (milliseconds: number): Promise<void> => {
    clock.advance(milliseconds);
    await settle();
  };
  return { admission, clock, admitted, refused, enter, finish, pass };
}

describe("Admission", () => {
  it("lets in as many as may be in flight, and the next when one leaves", async () => {
    const { admission, admitted, enter, finish } = watched(2, 4);
    for (const name of ["a", "b", "c"]) await enter(name);
    expect(admitted).toEqual(["a", "b"]);
    expect(admission).toMatchObject({ inFlight: 2, waiting: 1 });
    await finish("a");
    expect(admitted).toEqual(["a", "b", "c"]);
    expect(admission).toMatchObject({ inFlight: 2, waiting: 0 });
  });

  it("counts a leave once, however often it is called", async () => {
    const { admission, enter, finish } = watched(2, 0);
    await enter("a");
    await enter("b");
    await finish("a");
    await finish("a");
    expect(admission.inFlight).toBe(1);
  });

  it("lets in by priority, then by arrival", async () => {
    const { admitted, enter, finish } = watched(1, 8);
    await enter("first");
    for (const [name, priority] of [
      ["low-1", 2],
      ["high-1", 0],
      ["middle-1", 1],
      ["high-2", 0],
      ["low-2", 2],
    ] as const) {
      await enter(name, { priority });
    }
    for (let at = 0; at < 6; at++) await finish(admitted.at(-1) ?? "");
    expect(admitted).toEqual(["first", "high-1", "high-2", "middle-1", "low-1", "low-2"]);
  });

  it("refuses when the queue is full", async () => {
    const { refused, enter } = watched(1, 1);
    for (const name of ["a", "b", "c"]) await enter(name);
    expect(refused).toEqual({
      c: expect.objectContaining({ reason: "queue_full", retryAfterSeconds: 2 }),
    });
  });

  it("makes the last one in the queue leave for a higher priority, not for its own", async () => {
    const { admitted, refused, enter, finish } = watched(1, 2);
    await enter("a");
    await enter("low", { priority: 2 });
    await enter("middle", { priority: 1 });
    await enter("low again", { priority: 2 });
    await enter("high", { priority: 0 });
    expect(refused).toEqual({
      "low again": expect.objectContaining({ reason: "queue_full" }),
      low: expect.objectContaining({ reason: "queue_full" }),
    });
    await finish("a");
    await finish("high");
    expect(admitted).toEqual(["a", "high", "middle"]);
  });

  it.each([
    ["the queue's time", {}, 2_000],
    ["the request's deadline, if that is earlier", { deadline: 300 }, 300],
  ])("refuses after %s", async (_, request, milliseconds) => {
    const { admission, clock, refused, enter, pass } = watched(1, 4);
    await enter("a");
    await enter("b", request);
    await pass(milliseconds - 1);
    expect(refused).toEqual({});
    await pass(1);
    expect(refused).toEqual({ b: expect.objectContaining({ reason: "queue_timeout" }) });
    expect(admission.waiting).toBe(0);
    expect(clock.timers).toBe(0);
  });

  it("refuses at once what could wait no longer", async () => {
    const { refused, enter, pass } = watched(1, 4);
    await pass(1_000);
    await enter("a");
    await enter("b", { deadline: 1_000 });
    expect(refused).toEqual({ b: expect.objectContaining({ reason: "queue_timeout" }) });
  });

  it("lets nobody in whose time is over, when the timer is late", async () => {
    let now = 0;
    const limits = { maxInFlight: 1, queue: { length: 4, waitMs: 100 } };
    const admission = new Admission(limits, { now: () => now, after: () => () => {} });
    const leave = await admission.enter({ priority: 1 });
    const late = admission.enter({ priority: 1 });
    now = 100;
    leave();
    await expect(late).rejects.toMatchObject({ reason: "queue_timeout" });
    expect(admission.inFlight).toBe(0);
  });

  it("forgets a caller who leaves the queue", async () => {
    const { admission, clock, admitted, refused, enter, finish } = watched(1, 4);
    const caller = new AbortController();
    await enter("a");
    await enter("b", { signal: caller.signal });
    await enter("c");
    caller.abort(new Error("gone"));
    await settle();
    expect(refused).toEqual({ b: new Error("gone") });
    expect(admission.waiting).toBe(1);
    await finish("a");
    expect(admitted).toEqual(["a", "c"]);
    expect(clock.timers).toBe(0);
  });

  it("doesn't let in a caller who has left already", async () => {
    const { admission, refused, enter } = watched(1, 4);
    await enter("a", { signal: AbortSignal.abort(new Error("gone")) });
    expect(refused).toEqual({ a: new Error("gone") });
    expect(admission.inFlight).toBe(0);
  });

  it("tells when to come back by how long requests took", async () => {
    const { refused, enter, finish, pass } = watched(1, 0);
    for (let at = 0; at < 40; at++) {
      await enter(`slow-${at}`);
      await pass(8_000);
      await finish(`slow-${at}`);
    }
    await enter("a");
    await enter("b");
    expect(refused).toEqual({ b: expect.objectContaining({ retryAfterSeconds: 8 }) });
  });

  it("follows new limits", async () => {
    const { admission, admitted, refused, enter } = watched(1, 4);
    for (const name of ["a", "b", "c", "d"]) await enter(name);
    admission.configure({ maxInFlight: 2, queue: { length: 2, waitMs: 100 } });
    await settle();
    expect(admitted).toEqual(["a", "b"]);
    expect(refused).toEqual({ d: expect.objectContaining({ reason: "queue_full" }) });
    expect(admission.waiting).toBe(1);
  });

  it("never exceeds its bounds, loses nobody, and passes over no higher priority", async () => {
    const action = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ enter: fc.nat(3), patience: fc.integer({ min: 1, max: 4_000 }) }),
      },
      { weight: 3, arbitrary: fc.record({ leave: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ abort: fc.nat(9) }) },
      { weight: 2, arbitrary: fc.record({ advance: fc.nat(900) }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.nat(4),
        fc.array(action, { maxLength: 60 }),
        async (maxInFlight, length, actions) => {
          const clock = new SimulatedClock();
          const limits = { maxInFlight, queue: { length, waitMs: 2_000 } };
          const admission = new Admission(limits, clock);
          const waiting: { id: number; priority: number; abort(reason: Error): void }[] = [];
          const inside: (() => void)[] = [];
          let settled = 0;
          let entered = 0;
          let passedOver = 0;
          const gone = (id: number): void => {
            settled++;
            const at = waiting.findIndex((other) => other.id === id);
            if (at !== -1) waiting.splice(at, 1);
          };
          const step = async (change: () => void): Promise<void> => {
            change();
            await settle();
            expect(inside.length).toBeLessThanOrEqual(maxInFlight);
            expect(admission.inFlight).toBe(inside.length);
            expect(admission.waiting).toBe(waiting.length);
            expect(waiting.length).toBeLessThanOrEqual(length);
            expect(waiting.length === 0 || inside.length === maxInFlight).toBe(true);
            expect(passedOver).toBe(0);
          };
          const enter = (priority: number, patience: number): void => {
            const id = entered++;
            const caller = new AbortController();
            waiting.push({ id, priority, abort: (reason) => caller.abort(reason) });
            const deadline = clock.now() + patience;
            const entering = async (): Promise<void> => {
              try {
                inside.push(await admission.enter({ priority, deadline, signal: caller.signal }));
                gone(id);
                passedOver += waiting.filter(
                  (other) =>
                    other.priority < priority || (other.priority === priority && other.id < id),
                ).length;
              } catch {
                gone(id);
              }
            };
            void entering();
          };
          for (const next of actions) {
            await step(() => {
              if ("enter" in next) enter(next.enter, next.patience);
              else if ("leave" in next) inside.splice(next.leave % (inside.length || 1), 1)[0]?.();
              else if ("abort" in next) {
                waiting[next.abort % (waiting.length || 1)]?.abort(new Error("gone"));
              } else clock.advance(next.advance);
            });
          }
          await step(() => clock.advance(2_000));
          while (inside.length > 0) await step(() => inside.pop()?.());
          expect(settled).toBe(entered);
          expect(admission).toMatchObject({ inFlight: 0, waiting: 0 });
          expect(clock.timers).toBe(0);
        },
      ),
    );
  });
});
