import { readFile } from "node:fs/promises";
import path from "node:path";

import { beforeAll, describe, expect, it } from "vitest";

import { type BuiltModel, buildModel } from "../../src/publish/build.ts";
import { compareOutputs, IDENTICAL, worseOf } from "../../src/publish/gate/compare.ts";
import { externalize } from "../../src/publish/onnx/externalize.ts";
import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import { feedsOf, type Fixtures, readFixtures, toTensor } from "../../src/publish/source.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { runThere } from "../../src/tasks/drive.ts";
import { imageClassification } from "../../src/tasks/image-classification.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import type { TensorRunner } from "../../src/tasks/task.ts";
import { TOOLS } from "../support/tools.ts";
import { raw, taskManifest } from "../tasks/support.ts";

const FOLDER = path.join(ROOT, "models/nsfw");
/** Between TensorFlow.js and ONNX Runtime, both in float32. */
const LARGEST_DIFFERENCE = 1e-4;
/** int8 beside its scales, and small float32 convolutions; in float32 there are 10.3 MB. */
const MOST_BYTES = 3_200_000;

describe("nsfw", () => {
  let built: BuiltModel;
  let cases: Fixtures["cases"];
  let reference: ReferenceSession;
  let int8: TensorRunner;
  beforeAll(async () => {
    built = await buildModel(FOLDER);
    ({ cases } = await readFixtures(FOLDER));
    reference = await ReferenceSession.create(built.reference ?? new Uint8Array());
    const { graph, weights } = externalize(built.onnx, "weights.bin");
    int8 = createSession(await startOrt(await runtimeModule()), {
      graph,
      ...(weights && { weights: { name: "weights.bin", data: weights } }),
    });
  });

  it("is its authors' model in float32", async () => {
    for (const one of cases) {
      const expected = Object.entries(one.expected).map(([name, tensor]) => [
        name,
        toTensor(tensor),
      ]);
      const { largestDifference } = compareOutputs(
        await reference.run(feedsOf(one)),
        Object.fromEntries(expected) as Record<string, Tensor>,
      );
      expect(largestDifference).toBeLessThanOrEqual(LARGEST_DIFFERENCE);
    }
  });

  it("holds its thresholds in int8, at a third of the size", async () => {
    const { classAgreement = 1, largestDifference = 0 } = built.source.thresholds ?? {};
    let worst = IDENTICAL;
    for (const one of cases) {
      const outputs = await reference.run(feedsOf(one));
      worst = worseOf(worst, compareOutputs(int8.run(feedsOf(one)), outputs));
    }
    expect(worst.classAgreement).toBeGreaterThanOrEqual(classAgreement);
    expect(worst.largestDifference).toBeLessThanOrEqual(largestDifference);
    expect(built.onnx.length).toBeLessThanOrEqual(MOST_BYTES);
  });

  it("scales a picture as its authors do", async () => {
    const { task } = built.source;
    if (task.type !== "image-classification") throw new Error(task.type);
    const manifest = taskManifest(task);
    const limits = edgeLimits(manifest);
    const jpeg = new Uint8Array(await readFile(path.join(FOLDER, "samples/fruit.jpg")));
    const input = imageClassification.decode(raw(jpeg, "image/jpeg"), manifest, limits);
    const codecs = imageClassification.prepare({}, manifest, TOOLS);
    const run = imageClassification.run(codecs, input, manifest, limits);
    const { output, units } = await runThere(run, reference);
    expect(units).toEqual({ items: 1, pixels: 448 * 448 });
    // NSFWJS.classify of the picture's 448×448 pixels, in TensorFlow.js.
    const authors = [
      ["Neutral", 0.848597],
      ["Hentai", 0.0865545],
      ["Drawing", 0.0612164],
      ["Porn", 0.00322467],
      ["Sexy", 0.000406899],
    ] as const;
    expect(output).toEqual(
      authors.map(([label, score]) => ({ label, score: expect.closeTo(score, 4) as number })),
    );
  });
});
