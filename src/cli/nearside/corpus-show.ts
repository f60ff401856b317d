import { size } from "../../publish/size.ts";
import { blobKey } from "../../store/layout.ts";
import type { Command } from "./command.ts";
import { corpusLabels, corpusVersions } from "./corpus-inventory.ts";
import { catalogSource } from "./inventory.ts";
import { table } from "./table.ts";

/** `nearside corpus show` */
export const corpusShow: Command = {
  summary: "show one corpus: every version, its columns, its blob",
  usage: "corpus show <corpus>",
  options: {},
  help: `Shows every version of a corpus: labels, the version of the model that a request must get, rows, the columns
that a filter may name, the blob, and the memory that an isolate needs beside the model's.

Examples:
  npx nearside corpus show docs
  npx nearside corpus show docs --json | jq '.versions[0].columns'`,

  async run({ words: [name = ""], target }) {
    const { bucket, where } = await target();
    const versions = await corpusVersions(bucket, name, where);
    const catalog = await catalogSource(bucket);
    const shown = versions.map(({ version, manifest }) => ({
      version,
      labels: corpusLabels(catalog, name, version),
      served: catalog.corpora?.[name]?.versions.includes(version) ?? false,
      manifest: manifest ?? null,
    }));
    const texts = shown.map(({ version, labels, served, manifest }) => {
      const labelled = labels.length > 0 ? ` (${labels.join(", ")})` : "";
      const headline = `version ${version}${labelled}${served ? "" : ", not served: the catalog does not list it"}`;
      if (manifest === null) return `${headline}\n  its manifest can't be read`;
      const { model, count, dimensions, columns, snapshot, memory } = manifest;
      const facts = table([
        ["  description", manifest.description],
        ["  licence", manifest.licence],
        ["  model", `${model.name} ${model.version}`],
        [
          "  rows",
          `${count} of ${dimensions} dimensions${manifest.texts ? ", with their texts" : ""}`,
        ],
        ["  stored", `${size(snapshot.bytes)}  ${blobKey(snapshot.digest)}`],
        ["  memory", size(memory.heapBytes)],
      ]);
      const lines = columns.map((one) => [`    ${one.name}`, one.type, `${one.values} values`]);
      return columns.length === 0
        ? `${headline}\n${facts}`
        : `${headline}\n${facts}\n${table(lines)}`;
    });
    return { json: { name, versions: shown }, text: [name, ...texts].join("\n\n") };
  },
};
