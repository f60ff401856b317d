import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { beforeAll, describe, expect, it } from "vitest";

import { trainIris } from "../../models/iris/train.ts";
import { modelFolders } from "../../src/cli/examples.ts";
import { type BuiltModel, buildModel } from "../../src/publish/build.ts";
import { externalize } from "../../src/publish/onnx/externalize.ts";
import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import {
  feedsOf,
  type Fixtures,
  packageFolder,
  readFixtures,
  readModelSource,
  toTensor,
} from "../../src/publish/source.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import type { OrtSession } from "../../src/runtime/session.ts";
import { cosine, expectNear, fp32, numbersOf, rowsOf } from "../publish/support.ts";

const folders = await modelFolders();

/** As it is published and loaded: the weights beside the graph. */
async function sessionOf({ onnx }: BuiltModel): Promise<OrtSession> {
  const { graph, weights } = externalize(onnx, "weights.bin");
  return createSession(await startOrt(await runtimeModule()), {
    graph,
    ...(weights && { weights: { name: "weights.bin", data: weights } }),
  });
}

describe.each(folders.map((folder) => [path.basename(folder), folder]))("%s", (name, folder) => {
  it("computes what its fixtures expect, in the runtime that Workers run", async () => {
    const session = await sessionOf(await buildModel(folder));
    for (const one of (await readFixtures(folder)).cases) {
      const outputs = session.run(feedsOf(one));
      expect(Object.keys(one.expected).length).toBeGreaterThan(0);
      for (const [output, tensor] of Object.entries(one.expected)) {
        expectNear(outputs[output], toTensor(tensor), one.tolerance);
      }
    }
  });

  it("states its licence, and where its weights come from", async () => {
    const source = await readModelSource(folder);
    expect(source.name).toBe(name);
    expect(source.licence).toMatch(/^[A-Za-z0-9][\w.+-]*$/);
    expect((await readFile(path.join(folder, "LICENSE"), "utf8")).length).toBeGreaterThan(500);
    const [, packageName = "", version] = /^npm:(.+)@([\d.]+)$/.exec(source.source) ?? [];
    const manifest = await readFile(path.join(packageFolder(packageName), "package.json"), "utf8");
    expect(JSON.parse(manifest)).toMatchObject({ name: packageName, version });
    const own = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8")) as {
      devDependencies: Record<string, string>;
    };
    expect(own.devDependencies[packageName]).toBe(version);
  });
});

const made: [string, string][] = [];
for (const folder of folders) {
  const files = await readdir(folder);
  if (files.includes("make-fixtures.ts")) made.push([path.basename(folder), folder]);
}

describe.each(made)("the fixtures of %s", (_, folder) => {
  it("are what make-fixtures.ts makes", async () => {
    const file = pathToFileURL(path.join(folder, "make-fixtures.ts")).href;
    const { makeFixtures } = (await import(file)) as { makeFixtures(): Promise<Fixtures> };
    const fresh = await makeFixtures();
    const committed = await readFixtures(folder);
    const outline = ({ source, cases }: Fixtures) => ({
      source,
      cases: cases.map(({ name, tolerance }) => ({ name, tolerance })),
    });
    expect(outline(fresh)).toEqual(outline(committed));
    for (const [index, { inputs, expected, tolerance }] of committed.cases.entries()) {
      const again = fresh.cases[index];
      for (const [before, after] of [
        [inputs, again?.inputs ?? {}],
        [expected, again?.expected ?? {}],
      ] as const) {
        expect(Object.keys(after)).toEqual(Object.keys(before));
        for (const [name, tensor] of Object.entries(before)) {
          const remade = after[name];
          expectNear(remade && toTensor(remade), toTensor(tensor), tolerance);
        }
      }
    }
  });
});

describe("minilm", () => {
  const LARGEST_DIFFERENCE = 1e-3;
  const LOWEST_COSINE = 0.985;
  const folder = path.join(ROOT, "models/minilm");
  let built: BuiltModel;
  let cases: Fixtures["cases"];
  beforeAll(async () => {
    built = await buildModel(folder);
    ({ cases } = await readFixtures(folder));
  });

  const expectedOf = ({ name, expected }: Fixtures["cases"][number]) => {
    const { sentence_embedding: embedding } = expected;
    if (embedding === undefined) throw new Error(`"${name}" expects no embedding`);
    return toTensor(embedding);
  };

  it("is its authors' model in fp32, in the native runtime", async () => {
    expect(built.reference).toBeDefined();
    const session = await ReferenceSession.create(built.reference ?? new Uint8Array());
    for (const one of cases) {
      const { sentence_embedding: embedding } = await session.run(feedsOf(one));
      expectNear(embedding, expectedOf(one), LARGEST_DIFFERENCE);
    }
    await session.release();
  });

  it("points every sentence where its authors' model does, in int8", async () => {
    const { task } = built.source;
    const dimensions = task.type === "embedding" ? task.dimensions : Number.NaN;
    const session = await sessionOf(built);
    for (const one of cases) {
      const expected = rowsOf(expectedOf(one), dimensions);
      const embeddings = rowsOf(session.run(feedsOf(one))["sentence_embedding"], dimensions);
      expect(embeddings).toHaveLength(expected.length);
      for (const [row, embedding] of embeddings.entries()) {
        expect(cosine(embedding, expected[row] ?? [])).toBeGreaterThanOrEqual(LOWEST_COSINE);
      }
    }
  });
});

describe("iris", () => {
  it("classifies all flowers that it was not trained on", async () => {
    const { held } = trainIris();
    expect(held.rows).toHaveLength(30);
    const session = await sessionOf(await buildModel(path.join(ROOT, "models/iris")));
    const features = fp32([held.rows.length, 4], held.rows.flat());
    expect(numbersOf(session.run({ features })["label"])).toEqual(held.classes);
  });
});
