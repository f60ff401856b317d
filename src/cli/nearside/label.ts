import type { Command, CommandResult } from "./command.ts";
import type { ControlClient } from "./control-client.ts";
import { Changed, ControlledModel, Labelled } from "./control-schemas.ts";
import { wholeWord } from "./parse.ts";
import { changedText } from "./present.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside label` */
export const label: Command = {
  summary: "list the labels of a model, move one, or delete one",
  usage: "label <model> [<label>] [<version>] [--delete] [--dry-run]",
  options: { delete: { type: "boolean" }, "dry-run": { type: "boolean" } },
  help: `A label is a movable name for a version. "stable" is what a request gets that nothing else chooses for; it
can be moved, and not deleted. Without a label all are listed; without a version one is shown.

  --delete    delete the label
  --dry-run   show what would change, and change nothing

Examples:
  npx nearside label minilm
  npx nearside label minilm canary 4
  npx nearside label minilm stable 4 --dry-run
  npx nearside label minilm canary --delete`,

  async run({ words: [model = "", name, number], options, control }) {
    const removes = options["delete"] === true;
    const dryRun = options["dry-run"] === true;
    if (removes && (name === undefined || number !== undefined)) {
      throw new UsageError(
        "--delete takes a label and no version: npx nearside label <model> <label> --delete",
      );
    }
    if (dryRun && number === undefined && !removes) {
      throw new UsageError("--dry-run goes with a change: name a version, or say --delete.");
    }
    const version = number === undefined ? undefined : wholeWord("<version>", number, 1);
    const client = await control();
    if (name === undefined) return list(client, model);
    const path = `/v1/models/${encodeURIComponent(model)}/labels/${encodeURIComponent(name)}`;
    if (version === undefined && !removes) {
      const { value } = await client.get(path, Labelled, { model });
      return { json: value, text: `${model} ${name}: version ${value.version}` };
    }
    const found = removes
      ? await client.get(path, Labelled, { model })
      : await client.find(path, Labelled, "label_not_found", model);
    const changed = await client.change(path, Changed, {
      ...(removes ? { method: "DELETE" } : { method: "PUT", body: { version } }),
      etag: found?.etag,
      dryRun,
      model,
    });
    return { json: changed, text: changedText(changed) };
  },
};

async function list(client: ControlClient, model: string): Promise<CommandResult> {
  const path = `/v1/models/${encodeURIComponent(model)}`;
  const { value } = await client.get(path, ControlledModel, { model });
  const labels = value.versions.flatMap(({ version, labels: names }) =>
    names.map((name) => ({ label: name, version })),
  );
  return {
    json: {
      name: value.name,
      labels: Object.fromEntries(labels.map((one) => [one.label, one.version])),
    },
    text:
      labels.length === 0
        ? `${model} has no label. \`npx nearside label ${model} stable <version>\` makes one.`
        : table([["label", "version"], ...labels.map((one) => [one.label, String(one.version)])]),
  };
}
