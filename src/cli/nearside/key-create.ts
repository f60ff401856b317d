import { SCOPES } from "../../accounts/key-record.ts";
import { wordsOf } from "./account.ts";
import { IssuedKey } from "./billing-schemas.ts";
import type { Command, OptionValue } from "./command.ts";
import { issuedText, keysPath } from "./key.ts";
import { timeOf } from "./period.ts";
import { UsageError } from "./usage-error.ts";

const DAY_MS = 86_400_000;

/** `nearside key create` */
export const keyCreate: Command = {
  summary: "make a key for an account, and show it this once",
  usage:
    "key create <account> <name> [--scopes <scopes>] [--models <models>] [--origins <origins>] [--expires <when>] [--test] [--dry-run]",
  options: {
    scopes: { type: "string" },
    models: { type: "string" },
    origins: { type: "string" },
    expires: { type: "string" },
    test: { type: "boolean" },
    "dry-run": { type: "boolean" },
  },
  help: `Makes a key. It is printed once, and only its digest is kept: a key that is lost is revoked and replaced.

  --scopes <scopes>     what it may, with commas between (predict,models): ${SCOPES.join(", ")}
  --models <models>     only these of the account's models
  --origins <origins>   only on these pages: https://app.example.com,https://*.example.com
  --expires <when>      after so many days (30d), or at a time (2027-01-01 or 2027-01-01T12:00:00Z); never when absent
  --test                an nsk_test_ key: its usage is marked, and not paid for
  --dry-run             show what would be made, and make nothing

Examples:
  npx nearside key create acc_ofsrfkq7enqxcgbu backend
  npx nearside key create acc_ofsrfkq7enqxcgbu web --origins https://app.example.com --expires 90d
  npx nearside key create acc_ofsrfkq7enqxcgbu reports --scopes usage --json | jq -r .key`,

  async run({ words: [account = "", name = ""], options, control }) {
    const list = (option: string): string[] | undefined => {
      const text = options[option];
      return typeof text === "string" ? wordsOf(option, text) : undefined;
    };
    // JSON leaves out what is undefined.
    const body = {
      name,
      kind: options["test"] === true ? "test" : "live",
      scopes: list("scopes") ?? ["predict", "models"],
      models: list("models"),
      origins: list("origins"),
      expiresAt: expiryOf(options["expires"], Date.now()),
    };
    const client = await control();
    const dryRun = options["dry-run"] === true;
    const request = { method: "POST", body, dryRun } as const;
    const issued = await client.change(keysPath(account), IssuedKey, request);
    return { json: issued, text: issuedText(issued) };
  },
};

/** @throws UsageError for what is no time to come */
function expiryOf(text: OptionValue, now: number): number | undefined {
  if (typeof text !== "string") return undefined;
  const days = /^([1-9]\d{0,4})d$/.exec(text)?.[1];
  const at = days === undefined ? timeOf(text) : now + Number(days) * DAY_MS;
  if (at !== undefined && at > now) return at;
  throw new UsageError(
    `--expires takes days such as 30d, or a time to come of UTC such as 2027-01-01; not "${text}".`,
  );
}
