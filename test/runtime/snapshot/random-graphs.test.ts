import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { runtimeIdentity, runtimeModule } from "../../../src/publish/runtime.ts";
import { takeSnapshot } from "../../../src/publish/snapshot.ts";
import { createSession } from "../../../src/runtime/create-session.ts";
import { startOrt } from "../../../src/runtime/ort-module.ts";
import { feedsFor, onnxOf, randomGraph } from "../../support/random-graphs.ts";
import { restoreBytes } from "../../support/restore.ts";
import { fixturesOf, sourceOf } from "../../support/snapshot-cases.ts";
import { bitsOf } from "../../support/tensor-bits.ts";

const LARGEST_ROWS = 40;

describe("a session that was restored", () => {
  it.each([
    { graphs: 20, runs: 50 },
    { graphs: 3, runs: 1_000 },
  ])(
    "answers with the bits of one that was loaded: $graphs graphs, $runs runs each",
    async ({ graphs, runs }) => {
      const wasm = await runtimeModule();
      const { startup } = await runtimeIdentity();
      await fc.assert(
        fc.asyncProperty(randomGraph, fc.nat(999), async (graph, seed) => {
          const source = sourceOf(onnxOf(graph));
          const { bytes } = await takeSnapshot(source, fixturesOf(feedsFor(2, seed)));
          const loaded = createSession(await startOrt(wasm), source);
          const { session: restored } = await restoreBytes(wasm, startup, bytes, loaded);
          for (let run = 0; run < runs; run++) {
            const rows = 1 + ((run * 11 + seed) % LARGEST_ROWS);
            const feeds = feedsFor(rows, seed + run);
            expect(bitsOf(restored.run(feeds))).toBe(bitsOf(loaded.run(feeds)));
          }
        }),
        { numRuns: graphs, seed: runs, endOnFailure: true },
      );
    },
  );
});
