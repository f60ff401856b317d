import type { Command } from "./command.ts";
import { FlagChanged, StoredFlag } from "./control-schemas.ts";
import { flagPath, readFlag, splitFlag } from "./flag.ts";
import { changedText, sharesText } from "./present.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside flag set` */
export const flagSet: Command = {
  summary: "write a model's flag from a file, or split its traffic",
  usage: "flag set <model> [<file|->] [--split <version>=<percent>] [--delete] [--dry-run]",
  options: {
    split: { type: "string" },
    delete: { type: "boolean" },
    "dry-run": { type: "boolean" },
  },
  help: `Writes the flag that chooses a version for each request, in the format of flagd (https://flagd.dev), from a
file or, with -, from the standard input. A flag that names a missing version, whose fractions don't add up
to 100, or that has a rule which is never reached is refused, with the field. It shows what the change does
to traffic.

  --split <version>=<percent>   instead of a file: that share of callers gets that version (or label), the
                                rest "stable". Raised later, it moves callers to it and none back
  --delete                      remove the flag: every request follows "stable"
  --dry-run                     show what would change, and change nothing

Examples:
  npx nearside flag set minilm --split 4=10
  npx nearside flag set minilm flag.json --dry-run
  npx nearside flag get minilm | sed s/10/20/ | npx nearside flag set minilm -
  npx nearside flag set minilm --delete`,

  async run({ words: [model = "", file], options, control, input }) {
    const { split } = options;
    const removes = options["delete"] === true;
    const ways = [file !== undefined, split !== undefined, removes].filter(Boolean).length;
    if (ways !== 1) {
      throw new UsageError(
        "`nearside flag set` takes one of these: a file (- for the standard input), --split, --delete.",
      );
    }
    const body =
      file !== undefined
        ? await readFlag(file, model, input)
        : typeof split === "string"
          ? splitFlag(split)
          : undefined;
    const client = await control();
    const path = flagPath(model);
    const found = removes
      ? await client.get(path, StoredFlag, { model })
      : await client.find(path, StoredFlag, "flag_not_found", model);
    const changed = await client.change(path, FlagChanged, {
      ...(removes ? { method: "DELETE" } : { method: "PUT", body }),
      etag: found?.etag,
      dryRun: options["dry-run"] === true,
      model,
    });
    const { traffic } = changed;
    const effect =
      traffic === undefined
        ? ""
        : `\nTraffic before:\n${sharesText(traffic.before)}\nTraffic after:\n${sharesText(traffic.after)}`;
    return { json: changed, text: changedText(changed) + effect };
  },
};
