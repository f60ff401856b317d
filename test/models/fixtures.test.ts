import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { beforeAll, describe, expect, it } from "vitest";

import { trainIris } from "../../models/iris/train.ts";
import { modelFolders } from "../../src/cli/examples.ts";
import { type BuiltModel, buildFolder, buildModel } from "../../src/publish/build.ts";
import { externalize } from "../../src/publish/onnx/externalize.ts";
import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { type CandidateGraph, withFixtures } from "../../src/publish/publish.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import {
  type EnsembleFixtures,
  feedsOf,
  type Fixtures,
  packageFolder,
  readEnsembleFixtures,
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
async function sessionOf({ onnx }: Pick<BuiltModel, "onnx">): Promise<OrtSession> {
  const { graph, weights } = externalize(onnx, "weights.bin");
  return createSession(await startOrt(await runtimeModule()), {
    graph,
    ...(weights && { weights: { name: "weights.bin", data: weights } }),
  });
}

/** Each graph of a folder, with its fixtures. */
async function graphsOf(folder: string): Promise<CandidateGraph[]> {
  const built = await buildFolder(folder);
  if ("members" in built) return Object.values(await withFixtures(folder, built));
  return [{ ...built, fixtures: await readFixtures(folder) }];
}

/** The fixtures of each graph, by the name of the member. */
function byMember(fixtures: Fixtures | EnsembleFixtures) {
  const { source } = fixtures;
  return { source, graphs: "members" in fixtures ? fixtures.members : { "": fixtures.cases } };
}

async function committedFixtures(folder: string) {
  const { ensemble } = await readModelSource(folder);
  if (ensemble === undefined) return byMember(await readFixtures(folder));
  const members = Object.entries(await readEnsembleFixtures(folder, Object.keys(ensemble)));
  const graphs = Object.fromEntries(members.map(([name, { cases }]) => [name, cases]));
  return { source: members[0]?.[1].source, graphs };
}

describe.each(folders.map((folder) => [path.basename(folder), folder]))("%s", (name, folder) => {
  it("computes what its fixtures expect, in the runtime that Workers run", async () => {
    for (const graph of await graphsOf(folder)) {
      const session = await sessionOf(graph);
      for (const one of graph.fixtures.cases) {
        const outputs = session.run(feedsOf(one));
        expect(Object.keys(one.expected).length).toBeGreaterThan(0);
        for (const [output, tensor] of Object.entries(one.expected)) {
          expectNear(outputs[output], toTensor(tensor), one.tolerance);
        }
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
    const { makeFixtures } = (await import(file)) as {
      makeFixtures(): Promise<Fixtures | EnsembleFixtures>;
    };
    const fresh = byMember(await makeFixtures());
    const committed = await committedFixtures(folder);
    const outline = ({ source, graphs }: Awaited<ReturnType<typeof committedFixtures>>) => ({
      source,
      cases: Object.entries(graphs).map(([member, cases]) => [
        member,
        cases.map(({ name, tolerance }) => ({ name, tolerance })),
      ]),
    });
    expect(outline(fresh)).toEqual(outline(committed));
    const before = Object.values(committed.graphs).flat();
    const after = Object.values(fresh.graphs).flat();
    for (const [index, { inputs, expected, tolerance }] of before.entries()) {
      const remadeCase = after[index];
      for (const [kept, remadeOnes] of [
        [inputs, remadeCase?.inputs ?? {}],
        [expected, remadeCase?.expected ?? {}],
      ] as const) {
        expect(Object.keys(remadeOnes)).toEqual(Object.keys(kept));
        for (const [name, tensor] of Object.entries(kept)) {
          const remade = remadeOnes[name];
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
