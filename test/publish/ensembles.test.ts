import { describe, expect, it } from "vitest";

import { graphsOf } from "../../src/catalog/members.ts";
import { partsOf } from "../../src/catalog/parts.ts";
import { buildFolder, buildModel } from "../../src/publish/build.ts";
import { blobKey } from "../../src/store/layout.ts";
import { useModelFolders } from "./support.ts";
import { openTarget } from "./target.ts";

const BUILD = `
  return {
    members: {
      first: { onnx: graphs.linearGraph(64, 32) },
      second: { onnx: graphs.outerProductGraph() },
    },
    assets: { words: Uint8Array.of(1, 2) },
  };
`;

/** An outer product of so many numbers has 16 MB. */
const LARGE = 2_000;

const ENSEMBLE = {
  first: { largest: { x: [1, 64] } },
  second: { largest: { x: [LARGE, 1] } },
};

const FIXTURES = {
  source: "The tests.",
  members: {
    first: [caseOf("zeros", [1, 64])],
    second: [caseOf("a column", [3, 1])],
  },
};

function caseOf(name: string, shape: readonly [number, number]) {
  const data = Array<number>(shape[0] * shape[1]).fill(0);
  const inputs = { x: { datatype: "FP32", shape, data } };
  return { name, inputs, expected: {}, tolerance: 0 };
}

const modelFolder = useModelFolders(BUILD);

async function ensembleFolder(ensemble: object = ENSEMBLE, fixtures: object = FIXTURES) {
  const model = await modelFolder({ ensemble: ensemble as typeof ENSEMBLE });
  await model.write("fixtures.json", JSON.stringify(fixtures));
  return model;
}

describe("an ensemble's folder", () => {
  it("is published as one version: a graph, weights and a snapshot for each member", async () => {
    const { target, publish } = openTarget();
    const manifest = await publish(await ensembleFolder(), target);
    expect(manifest).toMatchObject({ inputs: [], outputs: [] });
    expect(manifest).not.toHaveProperty("graph");
    expect(partsOf(manifest).map(({ part }) => part)).toEqual([
      "first graph",
      "first weights",
      "first snapshot",
      "second graph",
      "second snapshot",
      "asset words",
    ]);
    for (const { digest, bytes } of partsOf(manifest)) {
      expect((await target.bucket.head(blobKey(digest)))?.size).toBe(bytes);
    }
    const members = [...graphsOf(manifest)].map(([role, { name, task }]) => [
      role,
      name,
      task.type,
    ]);
    expect(members).toEqual([
      ["first", `${manifest.name}_first`, "tensor"],
      ["second", `${manifest.name}_second`, "tensor"],
    ]);
  });

  it("has memory for the largest inputs of each member, and counts the sum", async () => {
    const { members = {}, memory } = await openTarget().publish(await ensembleFolder());
    const bytes = (name: string) => members[name]?.heapBytes ?? 0;
    expect(memory.heapBytes).toBe(bytes("first") + bytes("second"));
    expect(bytes("second")).toBeGreaterThan(bytes("first") + 4 * LARGE * LARGE - 16_777_216);
    expect(bytes("second")).toBeGreaterThan(16_777_216);
  });

  it("is built once, and used again with its members", async () => {
    const { folder } = await ensembleFolder();
    const [first, second] = [await buildFolder(folder), await buildFolder(folder)];
    expect([first.cached, second.cached]).toEqual([false, true]);
    const graphs = (built: typeof first) =>
      "members" in built
        ? Object.entries(built.members).map(([name, { onnx }]) => [name, [...onnx]])
        : [];
    expect(graphs(second)).toHaveLength(2);
    expect(graphs(second)).toEqual(graphs(first));
    expect([...(second.assets["words"] ?? [])]).toEqual([1, 2]);
    await expect(buildModel(folder)).rejects.toMatchObject({ code: "unsupported_model" });
  });

  it("is published again without a change", async () => {
    const model = await ensembleFolder();
    const { lines, publish } = openTarget();
    const first = await publish(model);
    expect(await publish(model)).toEqual(first);
    expect(lines.at(-1)).toBe(`${model.name} 1: already published`);
  });

  it.each([
    [
      "lacks a member in model.json",
      { first: ENSEMBLE.first },
      FIXTURES,
      /declares the members "first"/,
    ],
    [
      "has no fixtures of a member",
      ENSEMBLE,
      { ...FIXTURES, members: { first: FIXTURES.members.first } },
      /no fixtures of "second"/,
    ],
    [
      "leaves out the largest shape of an input",
      { ...ENSEMBLE, second: { largest: {} } },
      FIXTURES,
      /no largest shape for "x"/,
    ],
  ])("is refused when it %s", async (_title, ensemble, fixtures, message) => {
    const { target, state } = openTarget();
    const model = await ensembleFolder(ensemble, fixtures);
    await expect(openTarget().publish(model, target)).rejects.toThrow(message);
    expect(Object.keys(state().objects)).toEqual([]);
  });
});
