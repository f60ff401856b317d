import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { bundleWorkers, startLocalStack } from "../../src/cli/local-stack.ts";
import { prepareRuntime } from "../../src/publish/runtime.ts";
import { publishThroughGate } from "../../src/publish/gate/gate.ts";
import type { SourceOptions } from "../../src/publish/gate/sources.ts";
import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { GENERATED } from "../../src/publish/workspace.ts";
import { openTarget } from "../publish/target.ts";
import { linearGraph } from "../support/graphs.ts";

let folder: string;

beforeAll(async () => {
  await prepareRuntime();
  await bundleWorkers();
  await mkdir(GENERATED, { recursive: true });
  folder = await mkdtemp(path.join(GENERATED, "gate-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A folder with these files. */
async function folderOf(name: string, files: Readonly<Record<string, Uint8Array | object>>) {
  const place = path.join(folder, name);
  await mkdir(place);
  for (const [file, content] of Object.entries(files)) {
    const bytes = content instanceof Uint8Array ? content : JSON.stringify(content);
    await writeFile(path.join(place, file), bytes);
  }
  return place;
}

async function publish(place: string, options: SourceOptions = {}) {
  const { target, state } = openTarget();
  const startEdge = () => startLocalStack({ edgePort: 0 });
  const lines: string[] = [];
  const say = (line: string): void => void lines.push(line);
  const outcome = await publishThroughGate(place, target, options, startEdge, say).catch(
    (error: unknown) => error,
  );
  return { outcome, stored: Object.keys(state().objects), lines, target };
}

function oneOperator(opType: string): Uint8Array {
  const graph = new GraphBuilder(opType);
  graph.input("x", "FP32", ["n", 4]);
  graph.op(opType, ["x"], {}, "y");
  graph.output("y", "FP32", ["n", 4]);
  return graph.toBytes();
}

const modelJson = (more: object): object => ({
  name: "stranger",
  version: 1,
  description: "A model of the tests.",
  licence: "MIT",
  source: "test",
  task: { type: "tensor" },
  limits: { maxBatch: 8, maxBodyBytes: 1_048_576 },
  ...more,
});

describe("the publish gate, with real workerd", () => {
  it("publishes what holds, with a report, a proposed model.json, and once", async () => {
    const place = await folderOf("My Model (v2)", { "My Model (v2).onnx": linearGraph(64, 32) });
    const first = await publish(place, { quantize: "int8" });
    expect(first.outcome).toMatchObject({
      manifest: { name: "my-model-v2", version: 1, gate: { quantization: "int8" } },
      report: {
        comparison: { equality: 1 },
        operators: { MatMulInteger: 1 },
        thresholds: { cosine: 0.985, equality: 0.99 },
      },
    });
    expect(first.stored).toContain("models/my-model-v2/1/manifest.json");
    expect(first.lines.join("\n")).toMatch(/wrote .*model\.json, proposed from the graph/);
    const again = await publishThroughGate(
      place,
      first.target,
      { quantize: "int8" },
      () => Promise.reject(new Error("It is published: nothing is tried.")),
      () => {},
    );
    expect(again).not.toHaveProperty("report");
  });

  it("refuses what misses a threshold, says by how much, and writes nothing", async () => {
    const place = await folderOf("strict", {
      "model.onnx": linearGraph(64, 32),
      "model.json": modelJson({ quantize: "int8", thresholds: { largestDifference: 0 } }),
    });
    const { outcome, stored } = await publish(place);
    expect(outcome).toMatchObject({
      code: "below_threshold",
      message: expect.stringMatching(
        /stranger 1 is not published: the largest difference .* is over 0, by/,
      ),
      report: { comparison: { largestDifference: expect.any(Number) } },
    });
    expect(stored).toEqual([]);
  });

  it("tries what has no edge build in the native runtime, and publishes it without a snapshot", async () => {
    const place = await folderOf("elsewhere", {
      "model.onnx": linearGraph(64, 32),
      "model.json": modelJson({ name: "elsewhere", edge: false }),
    });
    const { outcome, stored } = await publish(place);
    expect(outcome).toMatchObject({
      manifest: { name: "elsewhere", edge: false },
      report: { comparison: { largestDifference: 0 }, bytes: { snapshot: 0 } },
    });
    expect(outcome).not.toHaveProperty("manifest.snapshot");
    expect(stored).toContain("models/elsewhere/1/manifest.json");
  });

  it("refuses what is not what its author's fixtures expect", async () => {
    const tensor = (shape: number[], data: number[]): object => ({ datatype: "FP32", shape, data });
    const place = await folderOf("expecting", {
      "model.onnx": linearGraph(2, 2),
      "model.json": modelJson({}),
      "fixtures.json": {
        source: "by hand",
        cases: [
          {
            name: "by hand",
            inputs: { x: tensor([1, 2], [0, 0]) },
            expected: { y: tensor([1, 2], [1, 999]), sum: tensor([], [2]) },
            tolerance: 1e-4,
          },
        ],
      },
    });
    const { outcome, stored } = await publish(place);
    expect(outcome).toMatchObject({
      code: "below_threshold",
      failures: ['"by hand": "y" differs by 998 from what the fixture expects, over its 0.0001'],
    });
    expect(stored).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ["that answers no number", "Log", /no number/],
    ["that draws random numbers", "RandomNormalLike", /random numbers can't be published/],
  ])("refuses a model %s", async (_, opType, message) => {
    const place = await folderOf(opType, {
      "model.onnx": oneOperator(opType),
      "model.json": modelJson({}),
      ...(opType === "Log" && {
        "fixtures.json": {
          source: "by hand",
          cases: [
            {
              name: "negative",
              inputs: { x: { datatype: "FP32", shape: [1, 4], data: [-1, -2, -3, -4] } },
              expected: {},
              tolerance: 0,
            },
          ],
        },
      }),
    });
    const { outcome, stored } = await publish(place);
    expect(outcome).toMatchObject({
      name: "PublishError",
      message: expect.stringMatching(message),
    });
    expect(stored).toEqual([]);
  });

  it("names the file and the field of a mistake in model.json", async () => {
    const place = await folderOf("mistaken", {
      "model.onnx": linearGraph(2, 2),
      "model.json": modelJson({ name: "Not A Name" }),
    });
    const { outcome } = await publish(place);
    expect(outcome).toMatchObject({
      name: "PublishError",
      message: expect.stringMatching(/model\.json, "name": /),
    });
  });
});
