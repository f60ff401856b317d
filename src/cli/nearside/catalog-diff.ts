import type { Command } from "./command.ts";
import { Diff } from "./control-schemas.ts";
import { wholeWord } from "./parse.ts";
import { differencesText } from "./present.ts";

/** `nearside catalog diff` */
export const catalogDiff: Command = {
  summary: "show what differs between two catalogs",
  usage: "catalog diff <number> [<other>]",
  options: {},
  help: `Shows every field that differs between a catalog and another one, or the current one. \`nearside catalog
history\` lists their numbers.

Examples:
  npx nearside catalog diff 41
  npx nearside catalog diff 41 42`,

  async run({ words: [from = "", other], control }) {
    const number = wholeWord("<number>", from, 1);
    const to = other === undefined ? "current" : wholeWord("<other>", other, 1);
    const client = await control();
    const { value } = await client.get(`/v1/catalogs/${number}/diff`, Diff, { query: { to } });
    const { changes } = value;
    const name = to === "current" ? "the current one" : to;
    return {
      json: value,
      text:
        changes.length === 0
          ? `Catalog ${number} and ${name} say the same.`
          : `From catalog ${number} to ${name}:\n${differencesText(changes)}`,
    };
  },
};
