import type { Command } from "./command.ts";
import { Changed, Switches } from "./control-schemas.ts";
import { wholeNumber } from "./parse.ts";
import { changedText } from "./present.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside switch` */
export const killSwitch: Command = {
  summary: "switch a model, or one of its versions, off or on",
  usage: "switch <model> [--off | --on] [--version <n>] [--dry-run]",
  options: {
    off: { type: "boolean" },
    on: { type: "boolean" },
    version: { type: "string" },
    "dry-run": { type: "boolean" },
  },
  help: `The kill switch. A model that is off refuses every request; a version that is off is never chosen, and who
asks for it by number is refused. It holds whatever flags, labels and rollouts say, from the edge's next
reading of the catalog. Without --off or --on it shows what is off.

  --version <n>   only this version
  --dry-run       show what would change, and change nothing

Examples:
  npx nearside switch minilm
  npx nearside switch minilm --off --version 4
  npx nearside switch minilm --on`,

  async run({ words: [model = ""], options, control }) {
    const { off, on, version: given } = options;
    if (off === true && on === true) throw new UsageError("It is either --off or --on.");
    const version = typeof given === "string" ? wholeNumber("version", given, 1) : undefined;
    const dryRun = options["dry-run"] === true;
    const changes = off === true || on === true;
    if (!changes && (version !== undefined || dryRun)) {
      throw new UsageError("--version and --dry-run go with --off or --on.");
    }
    const client = await control();
    const path = `/v1/models/${encodeURIComponent(model)}/switches`;
    const { value, etag } = await client.get(path, Switches, { model });
    if (!changes) return { json: value, text: textOf(model, value) };
    const others = value.offVersions.filter((one) => one !== version);
    const body =
      version === undefined
        ? { off: off === true, offVersions: value.offVersions }
        : {
            off: value.off,
            offVersions: off === true ? [...others, version].toSorted(byNumber) : others,
          };
    const changed = await client.change(path, Changed, {
      method: "PUT",
      body,
      etag,
      dryRun,
      model,
    });
    const stillOff =
      on === true && version === undefined && value.offVersions.length > 0
        ? `\nStill off: ${versionsText(value.offVersions)}. Switch each on with --version.`
        : "";
    return { json: changed, text: changedText(changed) + stillOff };
  },
};

const byNumber = (a: number, b: number): number => a - b;

function textOf(
  model: string,
  { off, offVersions }: { off: boolean; offVersions: number[] },
): string {
  const versions = offVersions.length === 0 ? "" : `; off: ${versionsText(offVersions)}`;
  return `${model} is ${off ? "off" : "on"}${versions}`;
}

function versionsText(versions: readonly number[]): string {
  return `${versions.length === 1 ? "version" : "versions"} ${versions.join(", ")}`;
}
