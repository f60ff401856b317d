import fc from "fast-check";

import {
  PAGE_BYTES,
  type PageRun,
  type SnapshotHeader,
} from "../../src/runtime/snapshot/format.ts";

const HEAP_BYTES = 16_777_216;

/** A header of one input and one output. */
export function headerOf(runs: readonly PageRun[]): SnapshotHeader {
  return {
    runtime: "1".repeat(64),
    graph: "2".repeat(64),
    ortVersion: "1.30.0",
    memoryBytes: HEAP_BYTES,
    handles: { session: 16, runOptions: 32, table: 48, inputNames: [64], outputNames: [80] },
    runs,
  };
}

const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString("hex"));

/** Gaps and lengths, one after the other. */
export function runsOf(steps: readonly (readonly [number, number])[]): PageRun[] {
  let next = 0;
  return steps.map(([gap, pages]) => {
    const firstPage = next + gap;
    next = firstPage + pages;
    return { firstPage, pages };
  });
}

export const headers: fc.Arbitrary<SnapshotHeader> = fc
  .array(fc.tuple(fc.nat(100), fc.integer({ min: 1, max: 50 })), { maxLength: 20 })
  .chain((steps) => {
    const runs = runsOf(steps);
    const last = runs.at(-1);
    const needed = last === undefined ? 1 : last.firstPage + last.pages;
    return fc
      .record({
        runtime: digest,
        graph: digest,
        weights: fc.option(
          digest.filter((hex) => /[^0]/.test(hex)),
          { nil: undefined },
        ),
        ortVersion: fc.stringMatching(/^[0-9a-z.-]{0,16}$/),
        pages: fc.integer({ min: needed, max: 2 ** 20 }),
      })
      .chain(({ weights, pages, ...digests }) => {
        const memoryBytes = pages * PAGE_BYTES;
        const pointer = fc.nat(Math.min(memoryBytes, 2 ** 31) - 1);
        return fc
          .record({
            session: pointer,
            runOptions: pointer,
            table: pointer,
            inputNames: fc.array(pointer, { maxLength: 6 }),
            outputNames: fc.array(pointer, { maxLength: 6 }),
          })
          .map((handles) => ({
            ...digests,
            ...(weights !== undefined && { weights }),
            memoryBytes,
            handles,
            runs,
          }));
      });
  });
