import { writeFile } from "node:fs/promises";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { CorpusManifest } from "../../../src/catalog/corpus.ts";
import { blobKey, corpusManifestKey } from "../../../src/store/layout.ts";
import { MemoryBucket, MemoryNamespace } from "../../support/memory-bucket.ts";
import {
  putCatalog,
  putManifest,
  say,
  sayJson,
  temporaryFolder,
  type TemporaryFolder,
} from "../support.ts";

const HOUR_MS = 3_600_000;

let temporary: TemporaryFolder;
let now: number;
let store: { bucket: MemoryBucket; namespace: MemoryNamespace };
let file: string;

beforeEach(async () => {
  temporary = await temporaryFolder();
  now = Date.now() - 2 * HOUR_MS;
  store = { bucket: new MemoryBucket(() => now), namespace: new MemoryNamespace() };
  const task = { type: "embedding", maxTokens: 8, dimensions: 2, tokenizer: "tokenizer" } as const;
  const manifests = [
    await putManifest(store.bucket, { name: "words", task }),
    await putManifest(store.bucket, { name: "words", version: 2, task }),
    await putManifest(store.bucket, { name: "iris" }),
  ];
  await putCatalog(store.bucket, manifests, { words: { canary: 2 } });
  file = path.join(temporary.folder, "docs.jsonl");
  await rows(1);
});
afterEach(() => temporary.remove());

const rows = (count: number) =>
  writeFile(
    file,
    Array.from({ length: count }, (_, n) =>
      JSON.stringify({ id: String(n), vector: [1, n], text: "t", metadata: { n } }),
    ).join("\n"),
  );

const publish = (...words: string[]) =>
  say(store, "corpus", "publish", file, "--name", "docs", "--model", "words", ...words);

const manifestOf = async (version: number): Promise<CorpusManifest> => {
  const stored = await store.bucket.get(corpusManifestKey("docs", version));
  return JSON.parse((await stored?.text()) ?? "null");
};

describe("nearside corpus publish", () => {
  it("publishes a file, and says that it is there already", async () => {
    const first = await publish("--text", "--licence", "CC0-1.0", "--description", "The docs");
    expect(first).toMatchObject({ exitCode: 0, opened: 1, closed: 1 });
    expect(first.out).toMatch(/^docs 1 is published in the local bucket: 1 rows, /);
    expect(await manifestOf(1)).toMatchObject({
      description: "The docs",
      licence: "CC0-1.0",
      texts: true,
      model: { name: "words", version: 1 },
    });
    expect((await publish("--text")).out).toBe(
      "docs 1 was published already, with the same rows, in the local bucket.\n",
    );
  });

  it("says that a version keeps its description and licence", async () => {
    await publish("--licence", "CC0-1.0");
    expect((await publish("--licence", "CC0-1.0")).out).not.toContain("stay");
    expect((await publish("--licence", "MIT")).out).toContain("stay as they were");
    const other = await publish("--licence", "MIT", "--version", "2");
    expect(other.out).toMatch(/^docs 2 is published/);
    expect((await manifestOf(2)).licence).toBe("MIT");
  });

  it("takes another version of the model, and moves a label", async () => {
    await publish();
    await say(
      store,
      "corpus",
      "publish",
      file,
      "--name",
      "docs",
      "--model",
      "words@canary",
      "--label",
      "next",
    );
    expect((await manifestOf(2)).model).toEqual({ name: "words", version: 2 });
    const { value } = await sayJson(store, "corpus", "label", "docs");
    expect(value).toEqual({ name: "docs", labels: { stable: 1, next: 2 } });
  });

  it("says what does not fit an isolate", async () => {
    await putManifest(store.bucket, {
      name: "words",
      memory: { heapBytes: 100_640_000, taskBytes: 0 },
      task: { type: "embedding", maxTokens: 8, dimensions: 2, tokenizer: "tokenizer" },
    });
    expect((await publish()).out).toMatch(/requests that search it are refused/);
  });

  it.each([
    [["--name", "docs"], 2, "needs --model"],
    [
      ["--name", "Docs", "--model", "words"],
      2,
      '--name takes a name of lower-case letters and digits, not "Docs"',
    ],
    [
      ["--name", "docs", "--model", "word"],
      1,
      'no model "word" in the local bucket. Did you mean "words"?',
    ],
    [
      ["--name", "docs", "--model", "words@3"],
      1,
      'no version or label "3"; there are 1, 2, stable, canary',
    ],
    [["--name", "docs", "--model", "iris"], 1, "iris 1 makes no embeddings"],
    [["--name", "docs", "--model", "words", "--version", "0"], 2, "--version takes a whole number"],
    [["--name", "docs", "--model", "words", "--label", "9"], 2, "--label takes"],
  ])("refuses %j", async (words, exitCode, message) => {
    const said = await say(store, "corpus", "publish", file, ...words);
    expect(said.exitCode).toBe(exitCode);
    expect(said.err).toContain(message);
  });

  it("names the line that is wrong", async () => {
    await writeFile(file, '{"id":"a","vector":[1,2]}\n{"id":"a","vector":[1,2]}\n');
    const said = await publish();
    expect([said.exitCode, said.err]).toEqual([
      1,
      expect.stringContaining('docs.jsonl, line 2: the id "a" was there before.'),
    ]);
  });
});

describe("nearside corpus", () => {
  it("lists corpora, and says where there are none", async () => {
    expect((await say(store, "corpus", "list")).out).toMatch(/^No corpus is published/);
    await publish();
    await rows(2);
    await publish();
    const { out } = await say(store, "corpus", "list");
    expect(out.split("\n").map((line) => line.split(/ {2,}/).slice(0, 5))).toEqual([
      ["corpus", "version", "labels", "model", "rows"],
      ["docs", "1", "stable", "words 1", "1"],
      ["docs", "2", "-", "words 1", "2"],
      [""],
    ]);
  });

  it("shows a corpus with its columns and its blob", async () => {
    await publish();
    const { out } = await say(store, "corpus", "show", "docs");
    expect(out).toMatch(/^docs\n\nversion 1 \(stable\)\n/);
    expect(out).toContain((await manifestOf(1)).snapshot.digest);
    expect(out).toMatch(/n +number +1 values/);
    const missing = await say(store, "corpus", "show", "dcos");
    expect([missing.exitCode, missing.err]).toEqual([
      1,
      'There is no corpus "dcos" in the local bucket. Did you mean "docs"?\n',
    ]);
  });

  it("moves and deletes labels, or only says what would change", async () => {
    await publish();
    await rows(2);
    await publish();
    const dry = await say(store, "corpus", "label", "docs", "stable", "2", "--dry-run");
    expect(dry.out).toContain("corpora.docs.labels.stable  1 -> 2");
    const label = (...words: string[]) => say(store, "corpus", "label", "docs", ...words);
    expect((await label()).out).toBe("label   version\nstable  1\n");
    await label("stable", "2");
    await label("canary", "1");
    expect((await label()).out).toBe("label   version\nstable  2\ncanary  1\n");
    await label("canary", "--delete");
    expect((await label()).out).toBe("label   version\nstable  2\n");
    expect((await label("stable", "3")).err).toContain("names version 3, which is not published");
    expect((await label("stable", "--delete")).err).toContain("can be moved, not deleted");
    expect((await label("canary")).exitCode).toBe(2);
  });

  it("verifies blobs, and drops what is altered", async () => {
    await publish();
    const verify = (...words: string[]) => say(store, "corpus", "verify", "docs", ...words);
    expect(await verify()).toMatchObject({ exitCode: 0, out: "docs 1: whole\n" });
    const key = blobKey((await manifestOf(1)).snapshot.digest);
    await store.bucket.put(key, "other");
    expect(await verify("--drop")).toMatchObject({
      exitCode: 1,
      out: expect.stringContaining("altered"),
    });
    expect((await verify()).out).toContain("missing");
    await publish();
    expect((await verify()).exitCode).toBe(0);
  });
});

describe("nearside gc", () => {
  it("keeps the blobs of corpora", async () => {
    await publish();
    await store.bucket.put(blobKey("f".repeat(64)), "nobody's");
    now = Date.now();
    const { value } = await sayJson(store, "gc", "--delete");
    expect(value).toMatchObject({ deleted: true, blobs: [{ key: blobKey("f".repeat(64)) }] });
    expect((await say(store, "corpus", "verify", "docs")).exitCode).toBe(0);
  });

  it("removes nothing while a corpus' manifest is damaged", async () => {
    await publish();
    await store.bucket.put(corpusManifestKey("docs", 1), "{");
    const said = await say(store, "gc", "--delete", "--older-than", "0");
    expect([said.exitCode, said.err]).toEqual([
      1,
      expect.stringContaining("corpora/docs/1/manifest.json is damaged"),
    ]);
  });
});
