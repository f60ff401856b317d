import { beforeAll, describe, expect, it } from "vitest";

import wasm from "../../../.nearside/runtime/ort.wasm";
import identity from "../../../.nearside/runtime/runtime.json";
import { createSession } from "../../../src/runtime/create-session.ts";
import { type GrowthGate, type OrtModule, startOrt } from "../../../src/runtime/ort-module.ts";
import type { OrtSession } from "../../../src/runtime/session.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";
import { restoreBytes } from "../../support/restore.ts";
import {
  bytesOf,
  type CaseIndex,
  feedsOf,
  readCases,
  sourceOf,
} from "../../support/stored-snapshots.ts";
import { bitsOf } from "../../support/tensor-bits.ts";

let cases: CaseIndex;
beforeAll(async () => {
  cases = await readCases();
});

function caseOf(name: string) {
  const found = cases[name];
  if (found === undefined) throw new Error(`There is no case "${name}".`);
  return found;
}

async function restore(name: string, mayGrow?: GrowthGate) {
  const stored = caseOf(name);
  return restoreBytes(wasm, identity.startup, await bytesOf(stored.snapshot), stored, mayGrow);
}

async function both(name: string): Promise<Record<"restored" | "loaded", OrtSession>> {
  const { session: restored } = await restore(name);
  return { restored, loaded: createSession(await startOrt(wasm), await sourceOf(caseOf(name))) };
}

async function sha256(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

function outcome(call: () => Record<string, Tensor>): string {
  try {
    return bitsOf(call());
  } catch (error) {
    return String(error);
  }
}

const indexes = (...values: number[]): Record<string, Tensor> => ({
  index: { datatype: "INT64", shape: [values.length], data: BigInt64Array.from(values, BigInt) },
});

const column = (length: number): Record<string, Tensor> => ({
  x: { datatype: "FP32", shape: [length, 1], data: new Float32Array(length).fill(2) },
});

const texts = (...data: string[]): Record<string, Tensor> => ({
  x: { datatype: "BYTES", shape: [data.length], data },
});

describe("the models that ship", () => {
  it("answer every fixture with the bits of a session that was loaded, here and in Node", async () => {
    const shipped = Object.values(cases).filter(({ isShipped }) => isShipped);
    expect(shipped.length).toBeGreaterThan(3);
    for (const { name, cases: fixtures } of shipped) {
      const { restored, loaded } = await both(name);
      for (const { feeds, answer } of fixtures) {
        const bits = bitsOf(restored.run(feedsOf(feeds)));
        expect(bits).toBe(bitsOf(loaded.run(feedsOf(feeds))));
        expect(await sha256(JSON.stringify(bits))).toBe(answer);
      }
    }
  });
});

describe("a session that was restored", () => {
  it("takes shapes that it has never seen", async () => {
    const { restored, loaded } = await both("outer");
    for (const length of [1, 0, 7, 700, 8, 2]) {
      expect(bitsOf(restored.run(column(length)))).toBe(bitsOf(loaded.run(column(length))));
    }
    expect(restored.heapBytes).toBe(loaded.heapBytes);
  });

  it("reports ORT's errors in the same words, and answers after them", async () => {
    const { restored, loaded } = await both("gather");
    const errors: string[] = [];
    for (const index of [3, 64, 5, -65, 99, 63, -64, 2 ** 40, 0]) {
      const seen = outcome(() => restored.run(indexes(index)));
      expect(seen).toBe(outcome(() => loaded.run(indexes(index))));
      if (seen.startsWith("OrtError")) errors.push(seen);
    }
    expect(errors).toHaveLength(4);
    expect(restored.trap).toBeUndefined();
  });

  it("fails with out_of_memory where its memory may not grow, and works again", async () => {
    const limit = 40 * 1024 * 1024;
    const { session } = await restore("outer", (bytes) => bytes <= limit);
    for (let round = 0; round < 20; round++) {
      expect(session.run(column(100))["y"]?.data[0]).toBe(4);
      for (const length of [5000, 20_000_000]) {
        expect(() => session.run(column(length))).toThrowError(
          expect.objectContaining({ code: "out_of_memory" }),
        );
      }
    }
    expect(session.heapBytes).toBeLessThanOrEqual(limit);
    expect(session.trap).toBeUndefined();
  });

  it("uses again what its snapshot holds: a memory that was large enough does not grow", async () => {
    const { session } = await restore("outer-large");
    const { memoryBytes } = caseOf("outer-large");
    expect(session.heapBytes).toBe(memoryBytes);
    for (let run = 0; run < 5; run++) session.run(column(2000));
    expect(session.heapBytes).toBe(memoryBytes);
  });

  it("frees everything on every path: ten thousand runs leave the heap where it was", async () => {
    const { session, instance } = await restore("gather");
    const cycle = (run: number): void => {
      if (run % 10 === 9) outcome(() => session.run(indexes(99)));
      else session.run(indexes(...Array<number>(run % 50).fill(3)));
    };
    for (let run = 0; run < 200; run++) cycle(run);
    const heap = session.heapBytes;
    const free = probe(instance.module);
    for (let run = 0; run < 10_000; run++) cycle(run);
    expect(session.heapBytes).toBe(heap);
    expect(probe(instance.module)).toBe(free);
  });

  it("frees strings, too: ten thousand runs leave the heap where it was", async () => {
    const { session, instance } = await restore("strings");
    const words = texts("", "ä", "日本語", "a longer string than sixteen bytes", "😀");
    expect(session.run(words)).toEqual({ y: words["x"] });
    for (let run = 0; run < 100; run++) session.run(words);
    const free = probe(instance.module);
    for (let run = 0; run < 10_000; run++) session.run(words);
    expect(probe(instance.module)).toBe(free);
    expect(session.run(texts())).toEqual({ y: texts()["x"] });
  });

  it("shares nothing with another one that was restored of the same bytes", async () => {
    const [one, other] = await Promise.all([restore("gather"), restore("gather")]);
    one.instance.module._free(one.instance.module._malloc(1_000_000));
    new Uint8Array(one.instance.memory.buffer).fill(0xff);
    const [y] = Object.values(other.session.run(indexes(2)));
    expect(y?.data).toEqual(Float32Array.of(4, 5));
  });
});

/** The end of what 64 blocks of 64 KiB take: it moves when anything leaks, ORT's own allocations included. */
function probe(module: OrtModule): number {
  const blocks = Array.from({ length: 64 }, () => module._malloc(65_536));
  for (const block of blocks) module._free(block);
  return Math.max(...blocks);
}
