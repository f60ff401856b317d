import { expect, it } from "vitest";

import wasm from "../../../.nearside/runtime/ort.wasm";
import identity from "../../../.nearside/runtime/runtime.json";
import { createSession } from "../../../src/runtime/create-session.ts";
import { startOrt } from "../../../src/runtime/ort-module.ts";
import { feedsFor } from "../../support/random-graphs.ts";
import { restoreBytes } from "../../support/restore.ts";
import { bytesOf, readCases, sourceOf } from "../../support/stored-snapshots.ts";
import { bitsOf } from "../../support/tensor-bits.ts";

const RUNS = 60;
const LARGEST_ROWS = 19;

it("random graphs answer with the same bits here, restored from Node's snapshot or loaded", async () => {
  const all = Object.values(await readCases());
  const graphs = all.filter(({ name }) => name.startsWith("random"));
  expect(graphs.length).toBeGreaterThan(3);
  for (const graph of graphs) {
    const loaded = createSession(await startOrt(wasm), await sourceOf(graph));
    const bytes = await bytesOf(graph.snapshot);
    const { session: restored } = await restoreBytes(wasm, identity.startup, bytes, graph);
    for (let run = 0; run < RUNS; run++) {
      const feeds = feedsFor(1 + ((run * 7) % LARGEST_ROWS), run);
      expect(bitsOf(restored.run(feeds))).toBe(bitsOf(loaded.run(feeds)));
    }
  }
});
