import { describe, expect, it } from "vitest";

import type { Tensor } from "../../src/runtime/tensor.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import { tabularClassification } from "../../src/tasks/tabular.ts";
import type { TaskRequest } from "../../src/tasks/task.ts";
import { type Feeds, fp32, json, raw, recordingRunner, refusal, taskManifest } from "./support.ts";

const manifest = taskManifest(
  { type: "tabular-classification", columns: ["a", "b"], labels: ["low", "middle", "high"] },
  4,
);

/** Probabilities of each row: its first number for `low`, its second for `high`, the rest between. */
function model({ features }: Feeds): Record<string, Tensor> {
  if (features?.datatype !== "FP32") throw new Error("features must be FP32");
  const count = features.shape[0] ?? 0;
  const rows = Array.from({ length: count }, (_, row) => {
    const [a = 0, b = 0] = features.data.subarray(2 * row, 2 * row + 2);
    return [a, 1 - a - b, b];
  });
  const best = rows.map((row) => BigInt(row.indexOf(Math.max(...row))));
  return {
    probabilities: fp32(rows.flat(), [count, 3]),
    label: { datatype: "INT64", shape: [count], data: BigInt64Array.from(best) },
  };
}

const decode = (request: TaskRequest) =>
  tabularClassification.decode(request, manifest, edgeLimits(manifest));

function run(request: TaskRequest, answer = model) {
  const runner = recordingRunner(answer);
  const { output, units } = runHere(
    tabularClassification.run(null, decode(request), manifest, edgeLimits(manifest)),
    runner,
  );
  return { output, units, runs: runner.runs };
}

const LOW_FIRST = [
  { label: "low", score: 0.5 },
  { label: "high", score: 0.375 },
  { label: "middle", score: 0.125 },
];
const HIGH_FIRST = [
  { label: "high", score: 0.75 },
  { label: "low", score: 0.25 },
  { label: "middle", score: 0 },
];

describe("tabular classification", () => {
  it("answers a row with its labels, best first", () => {
    expect(run(json([0.5, 0.375]))).toEqual({
      output: LOW_FIRST,
      units: { items: 1, elements: 2 },
      runs: [{ features: fp32([0.5, 0.375], [1, 2]) }],
    });
    expect(run(json({ b: 0.375, a: 0.5 })).output).toEqual(LOW_FIRST);
  });

  it("answers rows in their order, from one run", () => {
    const { output, units, runs } = run(json([[0.5, 0.375], { a: 0.25, b: 0.75 }]));
    expect(output).toEqual([LOW_FIRST, HIGH_FIRST]);
    expect(units).toEqual({ items: 2, elements: 4 });
    expect(runs).toEqual([{ features: fp32([0.5, 0.375, 0.25, 0.75], [2, 2]) }]);
  });

  it("answers one row in an array with an array", () => {
    expect(run(json([[0.5, 0.375]])).output).toEqual([LOW_FIRST]);
  });

  it("answers CSV with an array, whatever its header", () => {
    expect(run(raw("0.5,0.375\n", "text/csv")).output).toEqual([LOW_FIRST]);
    expect(run(raw("\ufeffb,a\n0.375,0.5\n0.75,0.25", "text/csv")).output).toEqual([
      LOW_FIRST,
      HIGH_FIRST,
    ]);
  });

  it("answers Hugging Face's table with the number of each row's class", () => {
    const { output, units } = run(json({ data: { a: ["0.5", "0.25"], b: ["0.375", "0.75"] } }));
    expect(output).toEqual([0, 2]);
    expect(units).toEqual({ items: 2, elements: 4 });
  });

  it.each(["present", "PRESENT", "anything else"])("takes header=%s of text/csv", (header) => {
    const named = raw("a,b\n0.5,0.375", "text/csv", { mediaParameters: { header } });
    expect(run(named).output).toEqual([LOW_FIRST]);
  });

  it.each([
    ["absent", "a,b\n0.5,0.375", "inputs[0].a"],
    ["Present", "0.5,0.375\n0.5,0.375", "inputs.a"],
  ])("believes header=%s", (header, body, field) => {
    expect(() => decode(raw(body, "text/csv", { mediaParameters: { header } }))).toThrow(
      refusal("invalid_input", field),
    );
  });

  it("refuses CSV that is not UTF-8", () => {
    expect(() => decode(raw(Uint8Array.of(0x31, 0x2c, 0xe4), "text/csv"))).toThrow(
      refusal("invalid_input", "inputs"),
    );
  });

  it("refuses more rows than the model takes", () => {
    expect(() => decode(json(Array.from({ length: 5 }, () => [1, 2])))).toThrow(
      refusal("batch_too_large", "inputs"),
    );
    expect(() => decode(raw("1,2\n".repeat(5), "text/csv"))).toThrow(
      refusal("batch_too_large", "inputs"),
    );
  });

  it("does not answer with probabilities that are no numbers", () => {
    const nan = (feeds: Feeds) => ({ ...model(feeds), probabilities: fp32([0, NaN, 1], [1, 3]) });
    expect(() => run(json([1, 2]), nan)).toThrow(refusal("inference_failed", "inputs"));
  });

  it.each([
    ["of another length", { probabilities: fp32([0, 1], [1, 2]) }],
    [
      "of another type",
      { probabilities: { datatype: "FP64", shape: [1, 3], data: new Float64Array(3) } },
    ],
    ["missing", {}],
  ] satisfies [string, Record<string, Tensor>][])("does not trust an output %s", (_, outputs) => {
    expect(() => run(json([1, 2]), () => outputs)).toThrow(refusal("internal", undefined));
  });
});
