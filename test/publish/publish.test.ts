import { createHash } from "node:crypto";

import { describe, expect, it } from "vitest";
import * as v from "valibot";

import { graphOf } from "../../src/catalog/members.ts";
import { Manifest } from "../../src/catalog/manifest.ts";
import { externalize } from "../../src/publish/onnx/externalize.ts";
import { signature } from "../../src/publish/onnx/signature.ts";
import { type PublishOptions, publishFolder } from "../../src/publish/publish.ts";
import { readModelSource, sourceDigest } from "../../src/publish/source.ts";
import { CATALOG_SOURCE_KEY, blobKey, catalogKey, manifestKey } from "../../src/store/layout.ts";
import { linearGraph } from "../support/graphs.ts";
import { manifestOf } from "../support/manifests.ts";
import { withHooks } from "../support/memory-bucket.ts";
import { type ModelFolder, useModelFolders } from "./support.ts";
import { CATALOG_WRITE, openTarget } from "./target.ts";

const BUILD = `
  const words = new TextEncoder().encode("some words");
  return { onnx: graphs.linearGraph(64, 8), assets: { words, labels: Uint8Array.of(1, 2, 3) } };
`;
const WORDS = new TextEncoder().encode("some words");

const modelFolder = useModelFolders(BUILD);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe("publishFolder", () => {
  it("writes blobs, then the manifest, then the catalog, then what the edge reads", async () => {
    const model = await modelFolder();
    const { publish, writes, target } = openTarget();
    const manifest = await publish(model);
    const blobs = writes.slice(0, -4);
    expect(writes.slice(-4)).toEqual([
      manifestKey(model.name, 1),
      CATALOG_SOURCE_KEY,
      catalogKey(1),
      CATALOG_WRITE,
    ]);
    const refs = [
      graphOf(manifest),
      ...Object.values(manifest.assets),
      ...(manifest.weights ? [manifest.weights] : []),
    ];
    for (const { digest, bytes } of refs) {
      expect(blobs).toContain(blobKey(digest));
      const stored = await target.bucket.get(blobKey(digest));
      const content = new Uint8Array((await stored?.arrayBuffer()) ?? []);
      expect([sha256(content), content.length]).toEqual([digest, bytes]);
    }
    expect(blobs.every((key) => key.startsWith("blobs/"))).toBe(true);
    expect(new Set(blobs).size).toBe(blobs.length);
  });

  it("describes the model in its manifest", async () => {
    const model = await modelFolder({ description: "Linear.", licence: "Apache-2.0" });
    const { publish, readText } = openTarget();
    const manifest = await publish(model);
    const { graph, weights } = externalize(linearGraph(64, 8));
    expect(manifest).toMatchObject({
      schema: 1,
      name: model.name,
      version: 1,
      description: "Linear.",
      licence: "Apache-2.0",
      sourceDigest: await sourceDigest(model.folder),
      task: { type: "tensor" },
      graph: { digest: sha256(graph), bytes: graph.length },
      weights: { name: "weights.bin", bytes: 2048, digest: sha256(weights ?? WORDS) },
      assets: { words: { digest: sha256(WORDS), bytes: 10 }, labels: { bytes: 3 } },
      ...signature(linearGraph(64, 8)),
      limits: { maxBatch: 8, maxBodyBytes: 1024 },
    });
    expect(manifest.memory.heapBytes).toBeGreaterThanOrEqual(16_777_216);
    expect(manifest.memory.taskBytes).toBeGreaterThan(13);
    expect(JSON.parse((await readText(manifestKey(model.name, 1))) ?? "")).toEqual(manifest);
  });

  it("mounts no weights when none are large", async () => {
    const model = await modelFolder({}, "return { onnx: graphs.linearGraph(64, 1), assets: {} };");
    const { publish } = openTarget();
    expect(await publish(model)).not.toHaveProperty("weights");
  });

  it("lists the version as stable, with its manifest, for the edge", async () => {
    const model = await modelFolder();
    const { publish, source, catalog } = openTarget();
    const manifest = await publish(model);
    const labels = { stable: 1 };
    expect(await source()).toEqual({
      schema: 1,
      number: 1,
      at: expect.any(String),
      by: "publish",
      change: `${model.name} 1 is published`,
      models: { [model.name]: { versions: [1], labels } },
    });
    expect(catalog()).toEqual({
      schema: 1,
      number: 1,
      models: { [model.name]: { versions: { 1: manifest }, labels } },
    });
  });

  it("adds a second version, and another model, to what is there", async () => {
    const { publish, catalog } = openTarget();
    const first = await modelFolder();
    await publish(first);
    const source = await readModelSource(first.folder);
    await first.write("model.json", JSON.stringify({ ...source, version: 2 }));
    await publish(first);
    const second = await modelFolder();
    await publish(second);
    const { number, models } = catalog();
    expect(number).toBe(3);
    expect(models[first.name]?.labels).toEqual({ stable: 1 });
    expect(Object.keys(models[first.name]?.versions ?? {})).toEqual(["1", "2"]);
    expect(Object.keys(models[second.name]?.versions ?? {})).toEqual(["1"]);
  });

  it("changes nothing the second time", async () => {
    const model = await modelFolder();
    const { publish, state, writes, lines } = openTarget();
    const manifest = await publish(model);
    const before = state();
    writes.length = 0;
    expect(await publish(model)).toEqual(manifest);
    expect(writes).toEqual([catalogKey(1), CATALOG_WRITE]);
    expect(state()).toEqual(before);
    expect(lines.at(-1)).toBe(`${model.name} 1: already published`);
  });

  it("uploads what two models share once", async () => {
    const { publish, writes } = openTarget();
    await publish(await modelFolder());
    writes.length = 0;
    const twin = await modelFolder();
    await publish(twin);
    expect(writes).toEqual([
      manifestKey(twin.name, 1),
      catalogKey(1),
      CATALOG_SOURCE_KEY,
      catalogKey(2),
      CATALOG_WRITE,
    ]);
  });

  it("uploads a blob again that has another size than it should", async () => {
    const model = await modelFolder();
    const { publish, target, readText } = openTarget();
    await target.bucket.put(blobKey(sha256(WORDS)), "some");
    await publish(model);
    expect(await target.bucket.head(blobKey(sha256(WORDS)))).toMatchObject({ size: 10 });
    expect(v.is(Manifest, JSON.parse((await readText(manifestKey(model.name, 1))) ?? ""))).toBe(
      true,
    );
  });
});

describe("another content under a published version", () => {
  it("is refused before anything is written, naming the fix", async () => {
    const model = await modelFolder();
    const { publish, state, writes } = openTarget();
    await publish(model);
    const before = state();
    writes.length = 0;
    await model.write("graph.ts", "export {};");
    await expect(publish(model)).rejects.toThrow(
      `${model.name} 1 is already published with other content, and versions never change. ` +
        `Raise "version" in its model.json (or say --version 2); locally, \`npm start -- --fresh\` starts over.`,
    );
    expect(writes).toEqual([]);
    expect(state()).toEqual(before);
  });

  it("is refused when somebody else publishes it at the same time", async () => {
    const model = await modelFolder();
    const { target, publish, source, readText } = openTarget();
    const theirs = manifestOf({ name: model.name, sourceDigest: "f".repeat(64) });
    const raced = withHooks(target, {
      async before(key) {
        if (key === manifestKey(model.name, 1)) {
          await target.bucket.put(key, JSON.stringify(theirs));
        }
      },
    });
    await expect(publish(model, raced)).rejects.toThrow(/already published with other content/);
    await expect(source()).rejects.toThrow(v.ValiError);
    expect(await readText(manifestKey(model.name, 1))).toBe(JSON.stringify(theirs));
  });
});

describe("a model without an edge build", () => {
  it("is published without a snapshot, and holds no memory here", async () => {
    const model = await modelFolder({ edge: false });
    const { publish } = openTarget();
    const manifest = await publish(model);
    expect(manifest).not.toHaveProperty("snapshot");
    expect([manifest.edge, manifest.memory.heapBytes]).toEqual([false, 0]);
  });
});

describe("what origins run", () => {
  const build = `return {
    onnx: graphs.linearGraph(64, 8), reference: graphs.linearGraph(64, 9), assets: {},
  };`;
  const folder = () => modelFolder({ originBuild: "reference" }, build);
  const publishWith = (
    { folder: path }: ModelFolder,
    { target, lines }: ReturnType<typeof openTarget>,
    options: PublishOptions,
  ) => publishFolder(path, target, (line) => lines.push(line), options);

  it("is published as one file where publication is told so", async () => {
    const opened = openTarget();
    const { originBuild } = await publishWith(await folder(), opened, { originBuild: true });
    const reference = linearGraph(64, 9);
    expect(originBuild).toEqual({ graph: { digest: sha256(reference), bytes: reference.length } });
    const stored = await opened.target.bucket.head(blobKey(sha256(reference)));
    expect(stored?.size).toBe(reference.length);
  });

  it("is left out otherwise, and added later where versions may change", async () => {
    const model = await folder();
    const opened = openTarget();
    expect(await publishWith(model, opened, {})).not.toHaveProperty("originBuild");
    await expect(publishWith(model, opened, { originBuild: true })).rejects.toMatchObject({
      code: "already_published",
    });
    const added = await publishWith(model, opened, { originBuild: true, replace: true });
    expect(added.originBuild?.graph.digest).toBe(sha256(linearGraph(64, 9)));
    expect(await publishWith(model, opened, { originBuild: true })).toEqual(added);
    expect(opened.lines.at(-1)).toBe(`${model.name} 1: already published`);
  });

  it("is not made up for a model that names none", async () => {
    const opened = openTarget();
    const model = await modelFolder({}, build);
    const manifest = await publishWith(model, opened, { originBuild: true });
    expect(manifest).not.toHaveProperty("originBuild");
    expect(await publishWith(model, opened, { originBuild: true })).toEqual(manifest);
  });
});
