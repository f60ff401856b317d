import type { Command } from "./command.ts";
import { StoredFlag } from "./control-schemas.ts";
import { flagPath } from "./flag.ts";

/** `nearside flag get` */
export const flagGet: Command = {
  summary: "print a model's flag: which requests get which version",
  usage: "flag get <model>",
  options: {},
  help: `Prints the model's flag as JSON, in the format of flagd (https://flagd.dev): what \`nearside flag set\` takes.
A model without a flag follows its label "stable".

Examples:
  npx nearside flag get minilm
  npx nearside flag get minilm > flag.json`,

  async run({ words: [model = ""], control }) {
    const client = await control();
    const { value } = await client.get(flagPath(model), StoredFlag, { model });
    return { json: value, text: JSON.stringify(value, undefined, 2) };
  },
};
