import { STABLE } from "../../catalog/catalog.ts";
import { size } from "../../publish/size.ts";
import type { Command } from "./command.ts";
import { catalogSource, labelsOf, storedVersions, totalBytes } from "./inventory.ts";
import { partsOf } from "../../catalog/parts.ts";
import { table } from "./table.ts";

/** One line of the list. */
interface ListedVersion {
  readonly version: number;
  readonly labels: readonly string[];
  /** Whether the catalog lists it, so that a request can reach it. */
  readonly served: boolean;
  readonly bytes: number | null;
  readonly memoryBytes: number | null;
  readonly task: string | null;
  readonly licence: string | null;
  readonly problem?: string;
}

interface ListedModel {
  readonly name: string;
  readonly stable: number | null;
  readonly versions: readonly ListedVersion[];
}

/** `nearside models` */
export const models: Command = {
  summary: "list models, their versions and labels",
  usage: "models",
  options: {},
  help: `Lists every version whose manifest is in the bucket: its labels ("stable" is what a request gets that
names no version), the size of its blobs, and the memory that an isolate needs for it. A version that the
catalog does not list is shown as "not served": its publication was interrupted, and can be run again.

Examples:
  npx nearside models
  npx nearside models --json | jq -r '.models[].name'`,

  async run({ target }) {
    const { bucket, where } = await target();
    const catalog = await catalogSource(bucket);
    const byName = new Map<string, ListedVersion[]>();
    const add = (name: string, version: ListedVersion) =>
      byName.set(name, [...(byName.get(name) ?? []), version]);
    for (const { name, version, manifest, problem } of await storedVersions(bucket)) {
      add(name, {
        version,
        labels: labelsOf(catalog, name, version),
        served: catalog.models[name]?.versions.includes(version) ?? false,
        bytes: manifest ? totalBytes(partsOf(manifest)) : null,
        memoryBytes: manifest ? manifest.memory.heapBytes + manifest.memory.taskBytes : null,
        task: manifest?.task.type ?? null,
        licence: manifest?.licence ?? null,
        ...(problem !== undefined && { problem: `its manifest ${problem}` }),
      });
    }
    for (const [name, { versions }] of Object.entries(catalog.models)) {
      const present = new Set(byName.get(name)?.map(({ version }) => version));
      for (const version of versions) {
        if (present.has(version)) continue;
        add(name, {
          version,
          labels: labelsOf(catalog, name, version),
          served: true,
          bytes: null,
          memoryBytes: null,
          task: null,
          licence: null,
          problem: "its manifest is missing",
        });
      }
    }
    const list = [...byName]
      .map(([name, versions]): ListedModel => ({
        name,
        stable: catalog.models[name]?.labels[STABLE] ?? null,
        versions: versions.toSorted((a, b) => a.version - b.version),
      }))
      .toSorted((a, b) => a.name.localeCompare(b.name));
    return { json: { models: list }, text: describe(list, where) };
  },
};

function describe(list: readonly ListedModel[], where: string): string {
  if (list.length === 0) {
    return `No model is published in ${where}. \`npx nearside publish --help\` says how; \`npm start\` publishes those that ship.`;
  }
  return table([
    ["model", "version", "labels", "size", "memory", "task", "licence"],
    ...list.flatMap(({ name, versions }) =>
      versions.map((one, row) => [
        row === 0 ? name : "",
        String(one.version),
        one.labels.join(", ") || "-",
        one.bytes === null ? "-" : size(one.bytes),
        one.memoryBytes === null ? "-" : size(one.memoryBytes),
        one.task ?? "-",
        [one.licence ?? "-", ...(one.served ? [] : ["not served"]), one.problem ?? []]
          .flat()
          .join("; "),
      ]),
    ),
  ]);
}
