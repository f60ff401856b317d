import { beforeEach, describe, expect, it } from "vitest";

import { readCatalogSource } from "../../../src/catalog/changes.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { NearsideError } from "../../../src/errors.ts";
import type { Embedder } from "../../../src/publish/corpus/embedder.ts";
import { type CorpusOptions, publishCorpus } from "../../../src/publish/corpus/publish-corpus.ts";
import { rowsFrom, type SourceRow } from "../../../src/publish/corpus/rows.ts";
import { blobKey } from "../../../src/store/layout.ts";
import { manifestOf } from "../../support/manifests.ts";
import { MemoryBucket, MemoryNamespace, withHooks } from "../../support/memory-bucket.ts";

const QUIET = () => {};

const model = (version: number): Manifest =>
  manifestOf({
    name: "words",
    version,
    task: { type: "embedding", maxTokens: 8, dimensions: 2, tokenizer: "tokenizer" },
  });

/** A vector of a text's length. */
const embedder: Embedder = {
  embed: async (texts) =>
    texts.map((text, index) => {
      if (text !== "") return Float32Array.of(1, text.length);
      throw new NearsideError("invalid_input", "The text is empty.", { field: `inputs[${index}]` });
    }),
};

const ROWS = [
  { id: "a", text: "one", metadata: { n: 1 } },
  { id: "b", vector: [3, 4] },
];

let target: { bucket: MemoryBucket; namespace: MemoryNamespace };
beforeEach(() => {
  target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
});

const publish = (
  rows: readonly Omit<SourceRow, "where">[] = ROWS,
  options: Partial<CorpusOptions> = {},
  store: Parameters<typeof publishCorpus>[2] = target,
) =>
  publishCorpus(
    rowsFrom("rows", rows),
    { name: "docs", model: model(1), texts: false, embedder, ...options },
    store,
    QUIET,
  );

const corpora = async () => (await readCatalogSource(target.bucket)).source.corpora;

describe("publishCorpus", () => {
  it("publishes rows with vectors and rows with texts, the first version as stable", async () => {
    const { manifest, present } = await publish();
    expect(present).toBe(false);
    expect(manifest).toMatchObject({
      kind: "corpus",
      name: "docs",
      version: 1,
      model: { name: "words", version: 1 },
      dimensions: 2,
      count: 2,
      columns: [{ name: "n", type: "number", values: 1 }],
      texts: false,
      description: "2 rows of rows",
    });
    expect((await target.bucket.head(blobKey(manifest.snapshot.digest)))?.size).toBe(
      manifest.snapshot.bytes,
    );
    expect(await corpora()).toEqual({ docs: { versions: [1], labels: { stable: 1 } } });
  });

  it("publishes nothing twice: the same rows are there already", async () => {
    await publish();
    const before = target.bucket.contents();
    expect(await publish()).toMatchObject({ present: true, manifest: { version: 1 } });
    expect(target.bucket.contents()).toEqual(before);
  });

  it.each([
    ["other rows", ROWS.slice(0, 1), {}],
    ["the model's next version", ROWS, { model: model(2) }],
    ["their texts", ROWS, { texts: true }],
  ])(
    "makes another version of %s, and moves no label that it is not told to",
    async (_, rows, options) => {
      await publish();
      expect((await publish(rows, options)).manifest.version).toBe(2);
      expect(await corpora()).toEqual({ docs: { versions: [1, 2], labels: { stable: 1 } } });
      await publish(rows, { ...options, label: "canary" });
      expect(await corpora()).toEqual({
        docs: { versions: [1, 2], labels: { stable: 1, canary: 2 } },
      });
    },
  );

  it("publishes nothing twice, whatever was published in between", async () => {
    await publish();
    await publish(ROWS.slice(1));
    const before = target.bucket.contents();
    expect(await publish()).toMatchObject({ present: true, manifest: { version: 1 } });
    expect(await publish(ROWS.slice(1))).toMatchObject({ present: true, manifest: { version: 2 } });
    expect(target.bucket.contents()).toEqual(before);
  });

  it("gives two who publish at once a version each, or the same for the same rows", async () => {
    const lists = [ROWS, ROWS.slice(1), ROWS, ROWS.slice(0, 1)];
    const published = await Promise.all(lists.map((rows) => publish(rows)));
    const versions = published.map(({ manifest }) => manifest.version);
    expect(new Set(versions)).toEqual(new Set([1, 2, 3]));
    expect(versions[2]).toBe(versions[0]);
    expect((await corpora())?.["docs"]?.versions).toEqual([1, 2, 3]);
  });

  it("never overwrites a version", async () => {
    await publish(ROWS, { version: 7 });
    expect(await publish(ROWS, { version: 7 })).toMatchObject({ present: true });
    await expect(publish(ROWS.slice(1), { version: 7 })).rejects.toMatchObject({
      code: "already_published",
      message: expect.stringContaining("--version 8"),
    });
  });

  it("ends in the same state wherever it was interrupted", async () => {
    await publish();
    const whole = target.bucket.contents();
    const writes = Object.keys(whole).length + 2;
    for (let cut = 0; cut < writes; cut++) {
      target = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
      let left = cut;
      const broken = withHooks(target, {
        before() {
          if (left-- === 0) throw new Error("interrupted");
        },
      });
      await publish(ROWS, {}, broken).catch(() => {});
      expect((await publish()).manifest.version).toBe(1);
      expect(Object.keys(target.bucket.contents())).toEqual(Object.keys(whole));
      expect(await corpora()).toEqual({ docs: { versions: [1], labels: { stable: 1 } } });
    }
  });

  it("uploads again what the bucket has lost", async () => {
    const { manifest } = await publish();
    const key = blobKey(manifest.snapshot.digest);
    await target.bucket.delete(key);
    await publish();
    expect(await target.bucket.head(key)).not.toBeNull();
  });

  it.each([
    [[{ id: "a" }], 'row 1: it needs a "text" or a "vector".'],
    [[...ROWS, { id: "a", text: "x" }], 'row 3: the id "a" was there before.'],
    [[{ id: "a", vector: [1] }], "row 1: the vector has 1 dimensions, and the model 2."],
    [
      [
        { id: "b", vector: [1, 1] },
        { id: "a", text: "" },
      ],
      "row 2: The text is empty.",
    ],
    [[{ id: "\ud800", vector: [1, 1] }], "row 1: the id is no Unicode: half a surrogate pair."],
    [
      [{ id: "a", vector: [1, 1], metadata: { n: "\udfff" } }],
      'row 1: "n" is no Unicode: half a surrogate pair.',
    ],
    [[], "rows has no rows."],
  ])("says which row is wrong: %j", async (rows, message) => {
    await expect(publish(rows)).rejects.toMatchObject({ code: "bad_corpus", message });
    expect(target.bucket.contents()).toEqual({});
  });

  it("refuses a model that makes no embeddings", async () => {
    const tensors = manifestOf({ name: "iris" });
    await expect(publish(ROWS, { model: tensors })).rejects.toThrow("iris 1 makes no embeddings");
  });
});
