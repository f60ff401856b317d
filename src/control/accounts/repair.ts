import type { ControlContext } from "../context.ts";
import { listAccounts } from "./publication.ts";

/** Accounts that are looked at each minute; all of them are, in turn. */
const AT_ONCE = 50;
const MINUTE_MS = 60_000;

/** Shows the edge what it has lost of accounts and keys, such as with the namespace. */
export async function repairAccounts({
  accounts,
  booksOf,
  log,
  now,
}: Pick<ControlContext, "accounts" | "booksOf" | "log" | "now">): Promise<void> {
  const ids = await listAccounts(accounts.bucket);
  const groups = Math.max(1, Math.ceil(ids.length / AT_ONCE));
  const group = Math.floor(now() / MINUTE_MS) % groups;
  await Promise.all(
    ids.slice(group * AT_ONCE, (group + 1) * AT_ONCE).map(async (account) => {
      try {
        await booksOf(account).repair();
      } catch (error) {
        log.error("account_not_repaired", error, { account });
      }
    }),
  );
}
