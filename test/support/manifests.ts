import type { Manifest } from "../../src/catalog/manifest.ts";

const NO_BLOB = { digest: "0".repeat(64), bytes: 0 };

/** A manifest with something in every place, for tests that care about one of them. */
export function manifestOf(overrides: Partial<Manifest>): Manifest {
  return {
    schema: 1,
    name: "model",
    version: 1,
    description: "A model of the tests.",
    licence: "MIT",
    source: "test",
    sourceDigest: "0".repeat(64),
    task: { type: "tensor" },
    ...(overrides.members === undefined && { graph: NO_BLOB }),
    assets: {},
    inputs: [],
    outputs: [],
    memory: { heapBytes: 16_777_216, taskBytes: 0 },
    limits: { maxBatch: 64, maxBodyBytes: 1_048_576 },
    ...overrides,
  };
}
