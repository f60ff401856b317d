import { accountPath } from "./account.ts";
import type { IssuedKey, KeyEntry } from "./billing-schemas.ts";
import { when } from "./present.ts";

export const keysPath = (account: string): string => accountPath(account, "keys");

export const keyPath = (account: string, key: string, ...more: readonly string[]): string =>
  accountPath(account, "keys", key, ...more);

const shortly = (milliseconds: number): string => when(new Date(milliseconds).toISOString());

/** Whether a key works, and what is going to change that. */
export function keyStateText(key: KeyEntry, now = Date.now()): string {
  const { revokedAt, expiresAt = Infinity, overlapUntil = Infinity } = key;
  if (revokedAt !== undefined) return `revoked ${shortly(revokedAt)}`;
  if (expiresAt <= now) return `expired ${shortly(expiresAt)}`;
  if (overlapUntil <= now) return `replaced by ${key.replacedBy}`;
  if (overlapUntil < expiresAt)
    return `works until ${shortly(overlapUntil)}, then ${key.replacedBy}`;
  return expiresAt === Infinity ? "works" : `works until ${shortly(expiresAt)}`;
}

/** The secret, the one time that it is there to be shown. */
export function issuedText({ id, name, scopes, key }: IssuedKey): string {
  const which = `${id} "${name}" (${scopes.join(", ")})`;
  if (key === undefined) return `This would be made (--dry-run; nothing is done): ${which}`;
  return (
    `${key}\n\nThis is the key ${which}. It is shown this once and stored nowhere: keep it now.\n` +
    `Requests show it as \`Authorization: Bearer <key>\`.`
  );
}
