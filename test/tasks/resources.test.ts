import { describe, expect, it } from "vitest";

import type { BlobRef, Manifest } from "../../src/catalog/manifest.ts";
import { TaskResources } from "../../src/tasks/resources.ts";
import { TextTokenizer } from "../../src/tasks/tokenizer.ts";
import { minilmTokenizer, tokenizerAsset } from "./minilm-tokenizer.ts";
import { refusal, taskManifest } from "./support.ts";
import { TOOLS } from "../support/tools.ts";

const MEGABYTE = 1024 * 1024;

const embeddings = (name: string, taskBytes = 8 * MEGABYTE): Manifest => ({
  ...taskManifest({ type: "embedding", maxTokens: 8, dimensions: 1, tokenizer: "tokenizer" }),
  name,
  assets: { tokenizer: { digest: "0".repeat(64), bytes: 1 } },
  memory: { heapBytes: 0, taskBytes },
});

/** Reads every blob as the tokenizer, and counts. */
function reader(fault?: Error) {
  const reads: BlobRef[] = [];
  return {
    reads,
    async read(ref: BlobRef) {
      reads.push(ref);
      if (fault !== undefined) throw fault;
      return tokenizerAsset(minilmTokenizer);
    },
  };
}

describe("resources of a task whose model is elsewhere", () => {
  it("are read once", async () => {
    const assets = reader();
    const resources = new TaskResources(assets, TOOLS);
    const first = await resources.of(embeddings("a"), undefined);
    expect(first).toBeInstanceOf(TextTokenizer);
    expect(await resources.of(embeddings("a"), undefined)).toBe(first);
    expect(assets.reads).toHaveLength(1);
    expect(resources.heldBytes).toBe(8 * MEGABYTE);
  });

  it("are kept for the two versions that were used last", async () => {
    const assets = reader();
    const resources = new TaskResources(assets, TOOLS);
    for (const name of ["a", "b", "a", "c", "a"]) await resources.of(embeddings(name), undefined);
    expect(assets.reads).toHaveLength(3);
    await resources.of(embeddings("b"), undefined);
    expect(assets.reads).toHaveLength(4);
    expect(resources.heldBytes).toBe(16 * MEGABYTE);
  });

  it("are kept only as far as there is memory beside the models", async () => {
    const resources = new TaskResources(reader(), TOOLS);
    await resources.of(embeddings("a", 20 * MEGABYTE), undefined);
    await resources.of(embeddings("b", 5 * MEGABYTE), undefined);
    expect(resources.heldBytes).toBe(5 * MEGABYTE);
    expect(await resources.of(embeddings("c", 25 * MEGABYTE), undefined)).toBeDefined();
    expect(resources.heldBytes).toBe(0);
  });

  it("need no assets where the task needs none", async () => {
    const assets = reader();
    const manifest = taskManifest({
      type: "tabular-classification",
      columns: ["a"],
      labels: ["b"],
    });
    expect(await new TaskResources(assets, TOOLS).of(manifest, undefined)).toBeNull();
    expect(assets.reads).toEqual([]);
  });

  it("are asked for again after a read that failed", async () => {
    const assets = reader(new Error("down"));
    const resources = new TaskResources(assets, TOOLS);
    await expect(resources.of(embeddings("a"), undefined)).rejects.toThrow("down");
    await expect(resources.of(embeddings("a"), undefined)).rejects.toThrow("down");
    expect(assets.reads).toHaveLength(2);
    const { assets: _, ...rest } = embeddings("a");
    await expect(resources.of({ ...rest, assets: {} }, undefined)).rejects.toThrow(
      refusal("model_damaged", undefined) as Error,
    );
  });
});
