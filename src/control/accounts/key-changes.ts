import type { KeyRecord } from "../../accounts/key-record.ts";
import { NearsideError } from "../../errors.ts";
import { type Precondition, checkPrecondition, etagOf } from "../precondition.ts";
import type { ChangingCall } from "../route.ts";
import type { AccountBooks } from "./account-books.ts";
import { untilUndisturbed } from "../undisturbed.ts";
import { NOT_FOUND } from "./find-account.ts";

/** Changes one key if it, or the list of keys, is what the caller saw. */
export async function changeKey<
  T extends { changed: KeyRecord; added?: { hash: string; record: KeyRecord } },
>(
  books: AccountBooks,
  { params, precondition, dryRun }: ChangingCall,
  make: (old: KeyRecord) => Promise<T>,
): Promise<T> {
  return untilUndisturbed("key", async () => {
    const seen = await books.keys();
    const old = keyIn(seen, params);
    await checkKey(precondition, `key ${old.id}`, [old, seen]);
    const made = await make(old);
    const { changed, added } = made;
    const put = { changed, ...(added && { added: { hash: added.hash, record: added.record } }) };
    return dryRun || (await books.putKeys(seen, put)) ? made : undefined;
  });
}

/** The ETag of any of these will do; the first is what the refusal tells of. */
export async function checkKey(
  precondition: Precondition,
  what: string,
  current: readonly unknown[],
): Promise<void> {
  if (precondition.kind === "is") {
    const etags = await Promise.all(current.map(etagOf));
    if (etags.some((etag) => precondition.etags.includes(etag))) return;
  }
  await checkPrecondition(precondition, what, current[0]);
}

/** @throws NearsideError when the account has no such key */
export function keyIn(
  keys: readonly KeyRecord[],
  { key: id = "" }: Readonly<Record<string, string>>,
): KeyRecord {
  const found = keys.find((record) => record.id === id);
  if (found !== undefined) return found;
  throw new NearsideError(NOT_FOUND, "The account has no such key; keys are named by their id.", {
    field: "key",
  });
}

/** What the key that takes its place may do. */
export function optionsOf({ name, kind, scopes, models, origins, expiresAt }: KeyRecord) {
  return {
    name,
    kind,
    scopes,
    ...(models && { models }),
    ...(origins && { origins }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
}
