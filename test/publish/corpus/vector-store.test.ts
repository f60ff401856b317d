import { appendFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { VectorStore } from "../../../src/publish/corpus/vector-store.ts";
import { manifestOf } from "../../support/manifests.ts";

const manifest = (digest: string) => manifestOf({ name: "m", graph: { digest, bytes: 1 } });
const [ONE, OTHER] = [manifest("1".repeat(64)), manifest("2".repeat(64))];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "nearside-vectors-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("VectorStore", () => {
  it("keeps vectors for the next time, for the same build of a model", async () => {
    const store = await VectorStore.open(ONE, 2, folder);
    await store.add(["a", "b"], [Float32Array.of(1, 2), Float32Array.of(0.1, -3)]);
    expect(store.get("b")).toEqual(Float32Array.of(0.1, -3));
    const again = await VectorStore.open(ONE, 2, folder);
    expect([again.get("a"), again.get("b"), again.get("c")]).toEqual([
      Float32Array.of(1, 2),
      Float32Array.of(0.1, -3),
      undefined,
    ]);
    expect((await VectorStore.open(OTHER, 2, folder)).get("a")).toBeUndefined();
  });

  it("cuts off what was only half written", async () => {
    const store = await VectorStore.open(ONE, 1, folder);
    await store.add(["a"], [Float32Array.of(1)]);
    const [file = ""] = await readdir(folder);
    await appendFile(path.join(folder, file), "half");
    const again = await VectorStore.open(ONE, 1, folder);
    await again.add(["b"], [Float32Array.of(2)]);
    const last = await VectorStore.open(ONE, 1, folder);
    expect([last.get("a"), last.get("b")]).toEqual([Float32Array.of(1), Float32Array.of(2)]);
    expect(await readFile(path.join(folder, file))).toHaveLength(2 * 36);
  });
});
