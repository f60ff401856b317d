import { describe, expect, it } from "vitest";

import { runHere } from "../../src/tasks/drive.ts";
import { imageClassification } from "../../src/tasks/image-classification.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import type { TaskRequest } from "../../src/tasks/task.ts";
import { drawn, pngOf } from "../support/pictures.ts";
import { TOOLS } from "../support/tools.ts";
import { type Feeds, fp32, json, raw, recordingRunner, refusal, taskManifest } from "./support.ts";

const LABELS = ["dark", "bright", "else"];
const manifest = taskManifest(
  { type: "image-classification", width: 3, height: 2, maxPixels: 64, labels: LABELS },
  2,
);
const limits = edgeLimits(manifest);
const codecs = imageClassification.prepare({}, manifest, TOOLS);

const dark = await pngOf(drawn(6, 4, () => [10, 20, 30]));
const bright = await pngOf(drawn(8, 8, () => [250, 240, 230]));
const large = await pngOf(drawn(13, 5, () => [0, 0, 0]));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** By the first pixel's red. */
function model({ pixels }: Feeds) {
  const isDark = Number(pixels?.data[0]) < 128;
  return { probabilities: fp32(isDark ? [0.75, 0, 0.25] : [0, 0.75, 0.25], [1, 3]) };
}

function run(request: TaskRequest) {
  const runner = recordingRunner(model);
  const input = imageClassification.decode(request, manifest, limits);
  const result = runHere(imageClassification.run(codecs, input, manifest, limits), runner);
  return { result, fed: runner.runs, estimate: imageClassification.estimate(input, manifest) };
}

const best = (label: string) => [
  { label, score: 0.75 },
  { label: "else", score: 0.25 },
];

describe("image classification", () => {
  it("feeds the picture in the graph's size, from 0 to 255", () => {
    const { fed } = run(raw(dark, "image/png"));
    const data = Float32Array.from({ length: 18 }, (_, at) => 10 + 10 * (at % 3));
    expect(fed).toEqual([{ pixels: { datatype: "FP32", shape: [1, 2, 3, 3], data } }]);
  });

  it("answers a raw picture and a string with one list, an array with several", () => {
    const parameters = { top_k: 2 };
    expect(run(raw(dark, "image/png", { parameters })).result.output).toEqual(best("dark"));
    expect(run(json(base64(bright), parameters)).result.output).toEqual(best("bright"));
    const several = run(json([base64(bright), base64(dark)], parameters)).result.output;
    expect(several).toEqual([best("bright"), best("dark")]);
  });

  it("names all labels when nobody says how many", () => {
    const { output } = run(raw(dark, "image/png")).result;
    expect(output).toEqual([...best("dark"), { label: "bright", score: 0 }]);
  });

  it("counts pictures, and pixels as they were sent", () => {
    const { result, estimate } = run(json([base64(bright), base64(dark)]));
    expect(result.units).toEqual({ items: 2, pixels: 64 + 24 });
    expect(estimate).toEqual(result.units);
  });

  it.each([
    ["more pixels than the model takes", raw(large, "image/png"), "image_too_large", "inputs"],
    ["one of several", json([base64(dark), base64(large)]), "image_too_large", "inputs[1]"],
    ["more than a batch", json(["", "", ""]), "batch_too_large", "inputs"],
    ["no picture", raw("hello", "image/png"), "unsupported_image", "inputs"],
    ["too many labels", json(base64(dark), { top_k: 4 }), "invalid_input", "parameters.top_k"],
  ] as const)("refuses %s before anything is loaded", (_, request, code, field) => {
    expect(() => imageClassification.decode(request, manifest, limits)).toThrow(
      refusal(code, field) as Error,
    );
  });

  it("says which picture is damaged", () => {
    const damaged = dark.slice();
    damaged.fill(0, 43, 49);
    expect(() => run(json([base64(bright), base64(damaged)]))).toThrow(
      refusal("unsupported_image", "inputs[1]") as Error,
    );
  });
});
