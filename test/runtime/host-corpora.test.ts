import { describe, expect, it, vi } from "vitest";

import type { CorpusManifest } from "../../src/catalog/corpus.ts";
import { NearsideError } from "../../src/errors.ts";
import { loadCorpus } from "../../src/corpus/load.ts";
import { scanModule } from "../../src/publish/corpus/kernel-module.ts";
import { compile } from "../../src/publish/runtime.ts";
import { type HostedModel, ModelHost } from "../../src/runtime/host.ts";
import { SupersededError } from "../../src/runtime/shared-load.ts";
import type { BlobStore } from "../../src/store/blobs.ts";
import { corpusOf } from "../support/corpus.ts";
import { manifestOf } from "../support/manifests.ts";

const MB = 1_000_000;
const SCAN = compile(scanModule());

const model = (name: string, megabytes: number) =>
  manifestOf({ name, memory: { heapBytes: megabytes * MB, taskBytes: 0 } });

const corpus = (name: string, megabytes: number): CorpusManifest =>
  corpusOf([{ id: "a", vector: [1] }], {
    name,
    memory: { heapBytes: megabytes * MB, taskBytes: 0 },
  }).manifest;

const loaded = ({ memory }: { readonly memory: { readonly heapBytes: number } }): HostedModel => ({
  heapBytes: memory.heapBytes,
  trap: undefined,
  start: "restored",
});

const context = { now: () => Date.now(), waitUntil: () => {} };

function hostOf(budget: number, admissionMs = 5_000) {
  const loads: string[] = [];
  const host = new ModelHost({
    budgetBytes: budget * MB,
    admissionMs,
    load: async (manifest) => (loads.push(manifest.name), loaded(manifest)),
    loadCorpus: async (manifest) => (loads.push(`corpus ${manifest.name}`), loaded(manifest)),
  });
  const held = () => host.stats().models.map(({ kind = "model", name }) => `${kind} ${name}`);
  return { host, loads, held };
}

describe("corpora in a ModelHost", () => {
  it("share the budget with models, and leave when they were not used for longest", async () => {
    const { host, held } = hostOf(100);
    await host.use(model("m", 50), context, () => {});
    await host.useCorpus(corpus("c", 40), context, () => {});
    expect(host.stats().heldBytes).toBe(90 * MB);
    await host.use(model("n", 20), context, () => {});
    expect(held()).toEqual(["corpus c", "model n"]);
    await host.use(model("m", 50), context, () => {});
    expect(held()).toEqual(["model n", "model m"]);
  });

  it("are told apart from models of the same name and version", async () => {
    const { host, loads } = hostOf(100);
    for (let round = 0; round < 2; round++) {
      await host.use(model("corpus", 10), context, () => {});
      await host.use(model("docs", 10), context, () => {});
      await host.useCorpus(corpus("docs", 10), context, () => {});
    }
    expect(loads).toEqual(["corpus", "docs", "corpus docs"]);
    expect(host.isLoaded(corpus("docs", 10))).toBe(true);
    expect(host.isLoaded(corpus("corpus", 10))).toBe(false);
  });

  it("load once for twenty requests at the same time", async () => {
    const { host, loads } = hostOf(100);
    const uses = Array.from({ length: 20 }, () =>
      host.useCorpus(corpus("c", 40), context, (_, start) => start),
    );
    expect(await Promise.all(uses)).toEqual(Array(20).fill("restored"));
    expect(await host.useCorpus(corpus("c", 40), context, (_, start) => start)).toBe("warm");
    expect(loads).toEqual(["corpus c"]);
  });

  it("are taken over in the memory that a load which went quiet has left", async () => {
    const memories = vi.spyOn(WebAssembly, "Memory");
    const { manifest, bytes } = corpusOf([{ id: "a", vector: [3, 4] }]);
    const quiet = Promise.withResolvers<void>();
    const late = Promise.withResolvers<unknown>();
    const stream = vi
      .fn<BlobStore["stream"]>(async (_ref, _context, sink) => {
        await sink.begin();
        sink.write(bytes);
      })
      .mockImplementationOnce(async (_ref, _context, sink) => {
        await sink.begin();
        sink.write(bytes.subarray(0, 8));
        await quiet.promise;
        try {
          sink.write(new Uint8Array(64));
        } catch (error) {
          late.resolve(error);
        }
      });
    const host = new ModelHost({
      budgetBytes: MB,
      stallMs: 1,
      load: async (one) => loaded(one),
      loadCorpus: (one, its) => loadCorpus(one, SCAN, { stream }, its),
    });
    const search = () =>
      host.useCorpus(manifest, context, (one) =>
        one.search({ queries: [Float32Array.of(0.6, 0.8)], top: 1, conditions: [] }),
      );
    const found = [[{ id: "a", score: expect.closeTo(1, 2) }]];
    expect(await search()).toEqual(found);
    quiet.resolve();
    expect(await late.promise).toBeInstanceOf(SupersededError);
    expect(await search()).toEqual(found);
    expect(host.stats()).toMatchObject({ takeovers: 1 });
    expect(memories).toHaveBeenCalledTimes(1);
    memories.mockRestore();
  });

  it("are refused beside a model that leaves no room for them, before anything is loaded", () => {
    const { host, loads } = hostOf(100);
    expect(() => host.checkFits(model("m", 60), corpus("c", 41))).toThrow(
      expect.objectContaining({
        code: "model_too_large",
        message: "m and c need 101.0 MB of memory together; an edge isolate may use 100.0 MB.",
      }),
    );
    expect(() => host.checkFits(model("m", 60), corpus("c", 40))).not.toThrow();
    expect(loads).toEqual([]);
  });

  it("answer many models and corpora that don't fit at once: nobody fails, nobody hangs", async () => {
    const { host } = hostOf(100);
    const answers = await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const name = String(index % 3);
        const vector = await host.use(model(`m${name}`, 50), context, () => index);
        return host.useCorpus(corpus(`c${name}`, 45), context, () => vector);
      }),
    );
    expect(answers).toEqual(Array.from({ length: 24 }, (_, index) => index));
    expect(host.stats().heldBytes).toBeLessThanOrEqual(100 * MB);
  });

  it("fail like models do: remembered for a moment, without a word of the cause", async () => {
    const fail = vi.fn<() => Promise<HostedModel>>(() =>
      Promise.reject(new NearsideError("corpus_damaged", "It is.")),
    );
    const host = new ModelHost({
      budgetBytes: MB,
      load: async (one) => loaded(one),
      loadCorpus: fail,
    });
    const use = () => host.useCorpus(corpus("c", 1), context, () => {});
    await expect(use()).rejects.toMatchObject({ code: "corpus_damaged" });
    await expect(use()).rejects.toMatchObject({ code: "corpus_damaged", retryAfterSeconds: 1 });
    expect(fail).toHaveBeenCalledTimes(1);
    expect(host.stats()).toMatchObject({ heldBytes: 0, failures: 1 });
  });
});
