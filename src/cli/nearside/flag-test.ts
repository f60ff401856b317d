import type { Command } from "./command.ts";
import { FlagTested } from "./control-schemas.ts";
import { attributesOf, flagPath, readFlag } from "./flag.ts";
import { wholeNumber } from "./parse.ts";
import { sharesText } from "./present.ts";

const KEYS = 1000;

/** `nearside flag test` */
export const flagTest: Command = {
  summary: "show whom a flag gives which version",
  usage:
    "flag test <model> [--user <key>] [--attribute <key>=<value>]... [--file <flag.json>] [--keys <n>]",
  options: {
    user: { type: "string" },
    attribute: { type: "string", multiple: true },
    file: { type: "string" },
    keys: { type: "string" },
  },
  help: `Evaluates the model's flag, changing nothing: what one caller gets, and how many of ${KEYS} made-up callers
get each variant.

  --user <key>                the caller, as in the header Nearside-User
  --attribute <key>=<value>   something about the request that the flag asks for; may be given again.
                              Numbers, true and false are such; "quotes" make a text of them
  --file <flag.json>          a flag that is not set yet, instead of the model's; - is the standard input
  --keys <n>                  callers to make up, instead of ${KEYS}

Examples:
  npx nearside flag test minilm
  npx nearside flag test minilm --user ada --attribute country=DE
  npx nearside flag test minilm --file flag.json --keys 10000`,

  async run({ words: [model = ""], options, control, input }) {
    const { user, attribute = [], file, keys } = options;
    const attributes = attributesOf(Array.isArray(attribute) ? attribute : []);
    const count = typeof keys === "string" ? wholeNumber("keys", keys, 1) : KEYS;
    const context = { ...attributes, ...(typeof user === "string" && { targetingKey: user }) };
    const body = {
      ...(typeof file === "string" && { flag: await readFlag(file, model, input) }),
      ...(Object.keys(context).length > 0 && { context }),
      keys: count,
    };
    const client = await control();
    const tested = await client.ask(`${flagPath(model)}/test`, FlagTested, {
      method: "POST",
      body,
      model,
    });
    const { choice, shares } = tested;
    const who = typeof user === "string" ? user : "This request";
    const chosen =
      choice === undefined || Object.keys(context).length === 0
        ? ""
        : `${who} gets ${typeof choice.version === "number" ? `version ${choice.version}` : "no version"}` +
          `${choice.variant ? `, variant "${choice.variant}"` : ""} (${choice.reason}).\n`;
    return {
      json: tested,
      text: `${chosen}Of ${count} callers:\n${sharesText(shares)}`,
    };
  },
};
