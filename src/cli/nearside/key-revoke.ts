import { REVOCATION_SECONDS } from "../../accounts/key-cache.ts";
import { KeyEntry } from "./billing-schemas.ts";
import type { Command } from "./command.ts";
import { keyPath } from "./key.ts";

/** `nearside key revoke` */
export const keyRevoke: Command = {
  summary: "end a key for good",
  usage: "key revoke <account> <key> [--dry-run]",
  options: { "dry-run": { type: "boolean" } },
  help: `Ends a key for good: it can't be brought back. An isolate that has just seen it takes it until it looks
again, ${REVOCATION_SECONDS} seconds at most. <key> is its id, which \`nearside key list\` shows.

  --dry-run   show which key it is, and change nothing

Examples:
  npx nearside key revoke acc_ofsrfkq7enqxcgbu key_3xkpb5v2qfqtd7aa`,

  async run({ words: [account = "", key = ""], options, control }) {
    const client = await control();
    const dryRun = options["dry-run"] === true;
    // Whatever it has become meanwhile, it is to end.
    const request = { method: "DELETE", etag: "*", dryRun } as const;
    const revoked = await client.change(keyPath(account, key), KeyEntry, request);
    const which = `${revoked.id} "${revoked.name}"`;
    const text = dryRun
      ? `This would be revoked (--dry-run; nothing is done): ${which}`
      : `Revoked: ${which}. Every isolate refuses it within ${REVOCATION_SECONDS} seconds.`;
    return { json: revoked, text };
  },
};
