import {
  ACCOUNT_OPTIONS,
  ACCOUNT_OPTIONS_HELP,
  accountPath,
  accountText,
  withOptions,
} from "./account.ts";
import { BilledAccount } from "./billing-schemas.ts";
import type { Command } from "./command.ts";
import { readDocument } from "./document.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside account set` */
export const accountSet: Command = {
  summary: "change an account: its plan, limits and models, or suspend it",
  usage:
    "account set <account> [<file|->] [--name <name>] [--suspend|--resume] [--plan <plan>] [--billing prepaid|postpaid] [--day-limit <dollars>|off] [--month-limit <dollars>|off] [--grace <dollars>|off] [--models <models>|all] [--dry-run]",
  options: {
    ...ACCOUNT_OPTIONS,
    name: { type: "string" },
    suspend: { type: "boolean" },
    resume: { type: "boolean" },
  },
  help: `Changes what is said of an account and leaves the rest. Other fields (the "signers" of client tokens, the
"exports" of its usage) come from a file or, with -, from the standard input: each replaces the one there is,
and null removes it.

${ACCOUNT_OPTIONS_HELP}
  --name <name>            another name
  --suspend, --resume      refuse its requests; take them again

"off" takes a limit away, and --models all lets it use every model.

Examples:
  npx nearside account set acc_ofsrfkq7enqxcgbu --month-limit 100 --dry-run
  npx nearside account set acc_ofsrfkq7enqxcgbu --suspend
  echo '{"signers":[{"kid":"k1","jwk":{…}}]}' | npx nearside account set acc_ofsrfkq7enqxcgbu -`,

  async run({ words: [id = "", file], options, control, input }) {
    if (options["suspend"] && options["resume"]) {
      throw new UsageError("It is either --suspend or --resume.");
    }
    const said = Object.keys(options).some((name) => !NO_CHANGE.has(name));
    if (!said && file === undefined) {
      throw new UsageError("Say what is to change; `npx nearside account set --help` lists it.");
    }
    withOptions({}, options);
    const fields = file === undefined ? {} : await readDocument(file, input, DOCUMENT);
    const client = await control();
    const { value, etag } = await client.get(accountPath(id), BilledAccount);
    const status = options["suspend"] ? "suspended" : options["resume"] ? "active" : value.status;
    const merged = Object.entries({ ...value, status, ...fields });
    const body = withOptions(
      Object.fromEntries(merged.filter(([, field]) => field !== null)),
      options,
    );
    const dryRun = options["dry-run"] === true;
    const request = { method: "PUT", body, etag, dryRun } as const;
    const changed = await client.change(accountPath(id), BilledAccount, request);
    const headline = dryRun ? "This would be so (--dry-run; nothing is done):\n" : "";
    return { json: changed, text: headline + accountText(changed) };
  },
};

const NO_CHANGE = new Set(["dry-run", "json", "remote"]);

const DOCUMENT = { noun: "part of an account", form: '{"signers": [{"kid": "…", "jwk": {…}}]}' };
