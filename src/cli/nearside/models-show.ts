import type { CatalogSource } from "../../catalog/catalog.ts";
import type { GateReport, Member, TensorSpec } from "../../catalog/manifest.ts";
import { size } from "../../publish/size.ts";
import type { Command } from "./command.ts";
import {
  catalogSource,
  labelsOf,
  type StoredVersion,
  totalBytes,
  versionsOf,
} from "./inventory.ts";
import { partsOf } from "../../catalog/parts.ts";
import { table } from "./table.ts";

/** `nearside models show` */
export const modelsShow: Command = {
  summary: "show one model: every version, its blobs, its memory",
  usage: "models show <model>",
  options: {},
  help: `Shows every version of a model: labels, licence and source, task, inputs and outputs, the digest and size
of each blob, the memory that an isolate needs, and what the publish gate measured.

Examples:
  npx nearside models show minilm
  npx nearside models show minilm --json | jq '.versions[0].parts'`,

  async run({ words: [name = ""], target }) {
    const { bucket, where } = await target();
    const versions = await versionsOf(bucket, name, where);
    const catalog = await catalogSource(bucket);
    const shown = versions.map((version) => describe(version, catalog));
    const texts = await Promise.all(shown.map(textOf));
    return { json: { name, versions: shown }, text: [name, ...texts].join("\n\n") };
  },
};

type Tensors = Pick<Member, "inputs" | "outputs">;
type ShownVersion = ReturnType<typeof describe>;

function describe({ name, version, manifest, problem }: StoredVersion, catalog: CatalogSource) {
  const common = {
    version,
    labels: labelsOf(catalog, name, version),
    served: catalog.models[name]?.versions.includes(version) ?? false,
  };
  if (manifest === undefined) return { ...common, problem: `its manifest ${problem}` };
  const parts = partsOf(manifest);
  const { description, licence, source, task, inputs, outputs, members } = manifest;
  const { memory, limits, snapshot, gate } = manifest;
  return {
    ...common,
    description,
    licence,
    source,
    task: task.type,
    inputs,
    outputs,
    ...(members && { members }),
    limits,
    memory,
    bytes: totalBytes(parts),
    parts,
    ...(snapshot && { runtime: snapshot.runtime }),
    ...(gate && { gate }),
  };
}

async function textOf(shown: ShownVersion): Promise<string> {
  const labels = shown.labels.length > 0 ? ` (${shown.labels.join(", ")})` : "";
  const headline = `version ${shown.version}${labels}${shown.served ? "" : ", not served: the catalog does not list it"}`;
  if ("problem" in shown) return `${headline}\n  ${shown.problem}`;
  const { heapBytes, taskBytes } = shown.memory;
  const facts = table([
    ["  description", shown.description],
    ["  licence", shown.licence],
    ["  source", shown.source],
    ["  task", shown.task],
    ...(shown.members === undefined
      ? tensorRows(shown)
      : Object.entries(shown.members).map(memberRow)),
    [
      "  memory",
      `${size(heapBytes + taskBytes)}: ${size(heapBytes)} of WASM, ${size(taskBytes)} of the task's tables`,
    ],
    ["  stored", size(shown.bytes)],
  ]);
  const parts = table(
    shown.parts.map(({ part, bytes, digest }) => [`    ${part}`, size(bytes), digest]),
  );
  const gate = shown.gate === undefined ? "" : `\n  gate\n${await gateText(shown.gate)}`;
  return `${headline}\n${facts}\n${parts}${gate}`;
}

function tensorRows({ inputs, outputs }: Tensors): string[][] {
  return [
    ["  inputs", inputs.map(tensorText).join(", ")],
    ["  outputs", outputs.map(tensorText).join(", ")],
  ];
}

function memberRow([name, { inputs, outputs, heapBytes }]: [string, Member]): string[] {
  const [from, to] = [inputs, outputs].map((tensors) => tensors.map(tensorText).join(", "));
  return [`  ${name}`, `${from} -> ${to}; ${size(heapBytes)} of WASM`];
}

function tensorText({ name, datatype, shape }: TensorSpec): string {
  return `${name} ${datatype}[${shape.map((length) => (length < 0 ? "?" : length)).join("×")}]`;
}

/** The report, as `nearside publish` words it; what publishes is loaded only for that. */
async function gateText(report: GateReport): Promise<string> {
  const { describeReport } = await import("./publish.ts");
  return describeReport(report).replaceAll(/^/gm, "  ");
}
