import { GateError, type Gated, publishThroughGate } from "../../publish/gate/gate.ts";
import type { GateReport } from "../../catalog/manifest.ts";
import { size } from "../../publish/size.ts";
import { bundleWorkers, startEdge } from "../local-stack.ts";
import type { Command, CommandContext, CommandResult } from "./command.ts";
import { wholeNumber } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside publish` */
export const publish: Command = {
  summary: "check a model, try it in workerd, and publish it",
  usage: "publish <folder or .onnx> [--quantize int8|none] [--version N]",
  help: `Publishes a model, if it passes.

The graph is checked against the edge's runtime, optimised, and quantized if you say so. The real edge
Worker then answers the model's fixtures in real workerd, once restored from its snapshot and once loaded
from its graph, and the answers are compared with the unquantized model in onnxruntime-node. Only a model
that holds its thresholds is published: blobs first, its manifest last, and only if the version is free.
Interrupted at any point and run again, it goes on from there.

A folder holds one .onnx file, and if you like:
  model.json      name, version, task, limits, thresholds; proposed from the graph when it is missing
  fixtures.json   inputs and expected outputs; without it, seeded noise in shapes that fit
  assets/         files that the task needs: assets/tokenizer.json is the asset "tokenizer"
or a build.ts, as the folders of models/ do.

  nearside publish classifier.onnx
  nearside publish my-model/ --quantize int8
  nearside publish my-model/ --version 2 --remote`,
  options: { quantize: { type: "string" }, version: { type: "string" } },

  async run(context): Promise<CommandResult> {
    const [place = ""] = context.words;
    const options = { ...quantizeOption(context), ...versionOption(context) };
    const target = await context.target();
    try {
      const gated = await publishThroughGate(place, target, options, startTrialEdge, context.say);
      return resultOf(gated, target.where);
    } catch (error) {
      if (error instanceof GateError) return refusalOf(error);
      throw error;
    }
  },
};

async function startTrialEdge() {
  await bundleWorkers();
  return startEdge({ edgePort: 0 });
}

function quantizeOption({ options }: CommandContext) {
  const { quantize } = options;
  if (quantize === undefined) return {};
  if (quantize === "int8" || quantize === "none") return { quantize } as const;
  throw new UsageError(`--quantize takes int8 or none, not ${String(quantize)}.`);
}

function versionOption({ options: { version } }: CommandContext) {
  return typeof version === "string" ? { version: wholeNumber("version", version, 1) } : {};
}

function resultOf({ manifest, report }: Gated, where: string): CommandResult {
  const { name, version } = manifest;
  const headline =
    report === undefined
      ? `${name} ${version} was published already, with the same content (${where}).`
      : `${name} ${version} is published (${where}).`;
  return {
    json: { published: true, name, version, report: report ?? manifest.gate ?? null },
    text: report === undefined ? headline : `${headline}\n\n${describeReport(report)}`,
  };
}

function refusalOf({ message, failures, report }: GateError): CommandResult {
  return {
    json: { published: false, failures, report },
    text: `${message}\n\n${describeReport(report)}`,
    exitCode: 1,
  };
}

/** The gate's findings, a line each. */
export function describeReport(report: GateReport): string {
  const { comparison, thresholds, bytes } = report;
  const operators = Object.entries(report.operators)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`);
  return [
    `  fixtures             ${report.fixtures}`,
    `  lowest cosine        ${held(comparison.cosine, thresholds.cosine)}`,
    `  largest difference   ${held(comparison.largestDifference, thresholds.largestDifference)}`,
    `  class agreement      ${held(comparison.classAgreement, thresholds.classAgreement)}`,
    `  equality             ${held(comparison.equality, thresholds.equality)}`,
    `  size                 given ${size(bytes.source)}; graph ${size(bytes.graph)}, weights ${size(bytes.weights)}, snapshot ${size(bytes.snapshot)}`,
    ...(report.coldMs === undefined
      ? ["  runs                 at the origin only"]
      : [
          `  memory               ${size(report.heapBytes)}`,
          `  first answer         ${report.coldMs} ms in a fresh isolate, then ${report.warmMs} ms`,
        ]),
    `  quantization         ${report.quantization}; opset ${report.opset}`,
    `  operators            ${operators.join(", ")}`,
  ].join("\n");
}

function held(value: number, limit: number | undefined): string {
  return `${Number(value.toPrecision(4))}${limit === undefined ? "" : ` (threshold ${limit})`}`;
}
