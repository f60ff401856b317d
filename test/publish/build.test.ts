import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { type BuiltModel, buildModel } from "../../src/publish/build.ts";
import { sourceDigest } from "../../src/publish/source.ts";
import { GENERATED } from "../../src/publish/workspace.ts";
import { linearGraph } from "../support/graphs.ts";
import { useModelFolders } from "./support.ts";

const BUILD = `
  globalThis.buildsOfTests = (globalThis.buildsOfTests ?? 0) + 1;
  return {
    onnx: graphs.linearGraph(2, 2),
    reference: graphs.linearGraph(3, 3),
    assets: { words: Uint8Array.of(1, 2), labels: new Uint8Array() },
  };
`;

/** How often `build()` of a test's folder ran. */
const counter = globalThis as { buildsOfTests?: number };

let cacheFolder: string;
const modelFolder = useModelFolders(BUILD);

beforeEach(async () => {
  counter.buildsOfTests = 0;
  await mkdir(path.join(GENERATED, "test"), { recursive: true });
  cacheFolder = await mkdtemp(path.join(GENERATED, "test", "cache-"));
});
afterEach(async () => {
  await rm(cacheFolder, { recursive: true, force: true });
});

/** What was built, without whether it was just now. */
function contentOf({ source, sourceDigest: digest, folder, ...made }: BuiltModel) {
  const bytes = (value: Uint8Array | undefined) => value && [...value];
  const assets = Object.entries(made.assets).map(([name, value]) => [name, bytes(value)]);
  return {
    source,
    digest,
    folder,
    onnx: bytes(made.onnx),
    reference: bytes(made.reference),
    assets: Object.fromEntries(assets),
  };
}

describe("buildModel", () => {
  it("builds once, then uses that build", async () => {
    const { folder, name } = await modelFolder();
    const lines: string[] = [];
    const options = { cacheFolder, onProgress: (line: string) => lines.push(line) };
    const first = await buildModel(folder, options);
    const digest = await sourceDigest(folder);
    expect(first).toMatchObject({
      cached: false,
      sourceDigest: digest,
      folder: path.join(cacheFolder, name, digest),
      source: { name, version: 1 },
      onnx: linearGraph(2, 2),
      reference: linearGraph(3, 3),
    });
    const second = await buildModel(folder, options);
    expect(second.cached).toBe(true);
    expect(contentOf(second)).toEqual(contentOf(first));
    expect(counter.buildsOfTests).toBe(1);
    expect(lines).toEqual([
      `${name}: building`,
      expect.stringMatching(/: built in [\d.]+ s, 0\.0 MB$/),
      `${name}: using the build ${digest.slice(0, 12)}`,
    ]);
  });

  it("keeps the files by their names", async () => {
    const { folder } = await modelFolder();
    const built = await buildModel(folder, { cacheFolder });
    const files = await readdir(built.folder, { recursive: true });
    expect(files.toSorted()).toEqual([
      "assets",
      "assets/labels",
      "assets/words",
      "model.onnx",
      "reference.onnx",
    ]);
  });

  it("has no reference where the build made none", async () => {
    const { folder } = await modelFolder(
      {},
      "return { onnx: graphs.linearGraph(2, 2), assets: {} };",
    );
    for (const cached of [false, true]) {
      const built = await buildModel(folder, { cacheFolder });
      expect(built.cached).toBe(cached);
      expect(built.reference).toBeUndefined();
      expect(built.assets).toEqual({});
    }
  });

  it("builds anew when a source changes, and keeps the build of before", async () => {
    const { folder, name, write } = await modelFolder();
    const before = await buildModel(folder, { cacheFolder });
    await write("words.txt", "new");
    const after = await buildModel(folder, { cacheFolder });
    expect(after.cached).toBe(false);
    expect((await readdir(path.join(cacheFolder, name))).toSorted()).toEqual(
      [before.sourceDigest, after.sourceDigest].toSorted(),
    );
  });

  it("doesn't take what an interrupted build left for a build", async () => {
    const { folder, name } = await modelFolder();
    const left = path.join(cacheFolder, name, "partial-XXXXXX");
    await mkdir(left, { recursive: true });
    await writeFile(path.join(left, "model.onnx"), "half of a mod");
    const built = await buildModel(folder, { cacheFolder });
    expect(built.cached).toBe(false);
    expect(built.onnx).toEqual(linearGraph(2, 2));
  });

  it("leaves nothing behind when a build can't be written", async () => {
    const { folder, name } = await modelFolder(
      {},
      `
      return { onnx: graphs.linearGraph(2, 2), assets: { "no/such": new Uint8Array() } };
    `,
    );
    await expect(buildModel(folder, { cacheFolder })).rejects.toThrow(/ENOENT/);
    expect(await readdir(path.join(cacheFolder, name))).toEqual([]);
    await expect(buildModel(folder, { cacheFolder })).rejects.toThrow(/ENOENT/);
  });

  it("passes on why a build failed, and tries again the next time", async () => {
    const { folder } = await modelFolder(
      {},
      `
      if (globalThis.buildsOfTests++ === 0) throw new Error("the package is broken");
      return { onnx: graphs.linearGraph(2, 2), assets: {} };
    `,
    );
    await expect(buildModel(folder, { cacheFolder })).rejects.toThrow("the package is broken");
    expect((await buildModel(folder, { cacheFolder })).cached).toBe(false);
  });

  it("gives the same to everybody who builds at the same time", async () => {
    const { folder, name } = await modelFolder();
    const built = await Promise.all(
      Array.from({ length: 4 }, () => buildModel(folder, { cacheFolder })),
    );
    for (const one of built) expect(contentOf(one)).toEqual(contentOf(built[0]!));
    expect(await readdir(path.join(cacheFolder, name))).toEqual([built[0]?.sourceDigest]);
    expect(contentOf(await buildModel(folder, { cacheFolder }))).toEqual(contentOf(built[0]!));
  });
});
