import { writeFile } from "node:fs/promises";

import type { CatalogSource } from "../../catalog/catalog.ts";
import type { Manifest, TensorSpec } from "../../catalog/manifest.ts";
import type { PublishBucket } from "../../publish/bucket.ts";
import { UserError } from "../user-error.ts";
import type { Command } from "./command.ts";
import { catalogSource, storedVersions } from "./inventory.ts";

/** `nearside types` */
export const types: Command = {
  summary: "write the catalog as types, for the TypeScript client",
  usage: "types [--out <file>] [--url <edge>]",
  options: { out: { type: "string", short: "o" }, url: { type: "string" } },
  help: `Writes what the catalog holds as a TypeScript declaration, for \`new Nearside<Models>(…)\` of nearside/client:
names of models, versions and labels, what classifiers tell apart, and the tensors of each graph. A name that is
not there then does not compile.

  -o, --out <file>   where to; the standard output when absent
  --url <edge>       ask an edge instead of the bucket: for whoever has no more than a key (NEARSIDE_KEY) with the
                     scope "models". It tells names, versions and tensors, but neither tasks nor labels.

Tensors are those of the version that is "stable", else of the newest; labels those of all versions that are served.

Examples:
  npx nearside types -o src/models.d.ts
  npx nearside types --remote -o src/models.d.ts
  NEARSIDE_KEY=nsk_live_… npx nearside types --url https://edge.example.com -o src/models.d.ts`,

  async run({ options: { out, url }, target }) {
    const found = typeof url === "string" ? await ofEdge(url) : await ofBucket(await target());
    const models = found.toSorted((a, b) => a.name.localeCompare(b.name));
    if (models.length === 0) {
      throw new UserError("No model is published; `npm start` publishes those that ship.");
    }
    const text = declarationOf(models);
    if (typeof out !== "string") {
      return { json: { models, declaration: text }, text: text.trimEnd() };
    }
    await write(out, text);
    const count = models.length === 1 ? "one model" : `${models.length} models`;
    return { json: { models, file: out }, text: `${out} has the types of ${count}.` };
  },
};

/** A model, as far as types go. */
export interface TypedModel {
  readonly name: string;
  /** Undefined where it is not known. */
  readonly task?: string;
  readonly versions: readonly (number | string)[];
  /** Undefined where they are not known. */
  readonly labels?: readonly string[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

async function ofEdge(url: string): Promise<TypedModel[]> {
  const { modelsOfEdge } = await import("./types-of-edge.ts");
  return modelsOfEdge(url, process.env["NEARSIDE_KEY"]);
}

async function ofBucket({ bucket }: { readonly bucket: PublishBucket }): Promise<TypedModel[]> {
  const catalog: CatalogSource = await catalogSource(bucket);
  const stored = await storedVersions(bucket);
  return Object.entries(catalog.models).flatMap(([name, { versions, labels }]) => {
    const served = stored.flatMap(({ manifest }) =>
      manifest?.name === name && versions.includes(manifest.version) ? [manifest] : [],
    );
    return typedModel(served, labels) ?? [];
  });
}

/** @param served its versions, in order */
export function typedModel(
  served: readonly Manifest[],
  labels: Readonly<Record<string, number>>,
): TypedModel | undefined {
  const shown = served.find(({ version }) => version === labels["stable"]) ?? served.at(-1);
  if (shown === undefined) return undefined;
  const { name, task, inputs, outputs } = shown;
  const told = served.flatMap((one) => ("labels" in one.task ? one.task.labels : []));
  return {
    name,
    task: task.type,
    versions: [...served.map(({ version }) => version), ...Object.keys(labels)],
    labels: [...new Set(told)],
    inputs,
    outputs,
  };
}

/** The file that `nearside types` writes. */
export function declarationOf(models: readonly TypedModel[]): string {
  return `// Written by \`nearside types\`, of the catalog as it was then.

/** For \`new Nearside<Models>(…)\` of nearside/client. */
export interface Models {
${models.map(modelText).join("\n")}
}
`;
}

const modelText = ({ name, task, versions, labels, inputs, outputs }: TypedModel): string =>
  `  readonly ${key(name)}: {
    readonly task: ${task === undefined ? "string" : JSON.stringify(task)};
    readonly versions: ${union(versions)};
    readonly labels: ${labels === undefined ? "string" : union(labels)};
    readonly inputs: ${tensorsText(inputs)};
    readonly outputs: ${tensorsText(outputs)};
  };`;

function union(values: readonly (string | number)[]): string {
  return values.length === 0 ? "never" : values.map((value) => JSON.stringify(value)).join(" | ");
}

function tensorsText(tensors: readonly TensorSpec[]): string {
  const fields = tensors.map(({ name, datatype }) => `readonly ${key(name)}: "${datatype}"`);
  return fields.length === 0 ? "{}" : `{ ${fields.join("; ")} }`;
}

const key = (name: string): string =>
  /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw new UserError(`${file} can't be written: ${(cause as Error).message}`, { cause });
  }
}
