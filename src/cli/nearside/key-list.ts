import { KeyEntries } from "./billing-schemas.ts";
import type { Command } from "./command.ts";
import { keyStateText, keysPath } from "./key.ts";
import { table } from "./table.ts";

/** `nearside key list` */
export const keyList: Command = {
  summary: "list the keys of an account, and which of them work",
  usage: "key list <account>",
  options: {},
  help: `Lists the keys of an account. Of the keys themselves only their two ends are known.

Examples:
  npx nearside key list acc_ofsrfkq7enqxcgbu
  npx nearside key list acc_ofsrfkq7enqxcgbu --json | jq '.[] | select(.revokedAt == null)'`,

  async run({ words: [account = ""], control }) {
    const client = await control();
    const { value } = await client.get(keysPath(account), KeyEntries);
    const rows = value.map((key) => [
      key.id,
      key.name,
      key.display ?? key.kind,
      key.scopes.join(","),
      key.models?.join(",") ?? "all",
      keyStateText(key),
    ]);
    const text =
      rows.length === 0
        ? `It has no key. \`npx nearside key create ${account} <name>\` makes one.`
        : table([["id", "name", "key", "scopes", "models", "state"], ...rows]);
    return { json: value, text };
  },
};
