import { IssuedKey } from "./billing-schemas.ts";
import type { Command } from "./command.ts";
import { issuedText, keyPath } from "./key.ts";
import { wholeNumber } from "./parse.ts";
import { span } from "./present.ts";

/** Time enough to bring the new key to every server. */
const OVERLAP_SECONDS = 86_400;

/** `nearside key rotate` */
export const keyRotate: Command = {
  summary: "make a key that takes another one's place, and let both work for a while",
  usage: "key rotate <account> <key> [--overlap <seconds>] [--dry-run]",
  options: { overlap: { type: "string" }, "dry-run": { type: "boolean" } },
  help: `Makes a key that may what the old one may. The old one works a while longer, so that nothing breaks while
the new one is brought to where it is used. <key> is its id, which \`nearside key list\` shows.

  --overlap <seconds>   how long both work (${OVERLAP_SECONDS}, a day); 0 ends the old one as a revocation does
  --dry-run             show what would be made, and make nothing

Examples:
  npx nearside key rotate acc_ofsrfkq7enqxcgbu key_3xkpb5v2qfqtd7aa
  npx nearside key rotate acc_ofsrfkq7enqxcgbu key_3xkpb5v2qfqtd7aa --overlap 3600`,

  async run({ words: [account = "", key = ""], options, control }) {
    const { overlap } = options;
    const overlapSeconds =
      typeof overlap === "string" ? wholeNumber("overlap", overlap, 0) : OVERLAP_SECONDS;
    const client = await control();
    const dryRun = options["dry-run"] === true;
    const issued = await client.change(keyPath(account, key, "rotate"), IssuedKey, {
      method: "POST",
      body: { overlapSeconds },
      etag: "*",
      dryRun,
    });
    const old = dryRun
      ? ""
      : `\nThe old one, ${key}, works for ${span(overlapSeconds * 1_000)} more at most.`;
    return { json: issued, text: issuedText(issued) + old };
  },
};
