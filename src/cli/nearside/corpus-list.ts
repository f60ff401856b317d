import { size } from "../../publish/size.ts";
import type { Command } from "./command.ts";
import { corpusLabels, storedCorpora } from "./corpus-inventory.ts";
import { catalogSource } from "./inventory.ts";
import { table } from "./table.ts";

/** `nearside corpus list` */
export const corpusList: Command = {
  summary: "list corpora, their versions and labels",
  usage: "corpus list",
  options: {},
  help: `Lists every version of every corpus whose manifest is in the bucket: labels, the version of the model that a
request must get, rows and size. A version that the catalog does not list is shown as "not served": its
publication was interrupted, and can be run again.

Examples:
  npx nearside corpus list
  npx nearside corpus list --json | jq -r '.corpora[].name'`,

  async run({ target }) {
    const { bucket, where } = await target();
    const catalog = await catalogSource(bucket);
    const list = (await storedCorpora(bucket)).map(({ name, version, manifest }) => ({
      name,
      version,
      labels: corpusLabels(catalog, name, version),
      served: catalog.corpora?.[name]?.versions.includes(version) ?? false,
      model: manifest?.model ?? null,
      count: manifest?.count ?? null,
      bytes: manifest?.snapshot.bytes ?? null,
      description: manifest?.description ?? "its manifest can't be read",
    }));
    if (list.length === 0) {
      const text = `No corpus is published in ${where}. \`npx nearside corpus publish --help\` says how.`;
      return { json: { corpora: [] }, text };
    }
    const rows = list.map((one) => [
      one.name,
      String(one.version),
      one.labels.join(", ") || "-",
      one.model === null ? "-" : `${one.model.name} ${one.model.version}`,
      String(one.count ?? "-"),
      one.bytes === null ? "-" : size(one.bytes),
      one.served ? one.description : `${one.description}; not served`,
    ]);
    const head = ["corpus", "version", "labels", "model", "rows", "size", "description"];
    return { json: { corpora: list }, text: table([head, ...rows]) };
  },
};
