import { accountKey } from "../../accounts/account.ts";
import { keyRecordKey } from "../../accounts/key-record.ts";
import { isSameJson } from "../../catalog/same-json.ts";
import { edgeAccount } from "./account-config.ts";
import { ACCOUNT_NAME, type AccountRegistry, type PublishedName } from "./registry.ts";

/** Where the edge reads keys and accounts, and where the list of accounts is. */
export interface AccountPlaces {
  readonly keys: Pick<KVNamespace, "get" | "put">;
  readonly bucket: Pick<R2Bucket, "put" | "head">;
}

const FOLDER = "accounts/";
/** One object for each account: the bucket lists them as they are, KV would be late. */
export const accountMark = (id: string): string => `${FOLDER}${id}`;

interface Publication {
  readonly key: string;
  readonly value: unknown;
}

/**
 * Shows the edge what has changed. What fails stays marked, and comes again.
 *
 * @throws what the namespace or the bucket throws
 */
export async function publishAccount(
  registry: AccountRegistry,
  { keys, bucket }: AccountPlaces,
): Promise<void> {
  for (const change of registry.unpublished()) {
    const publication = publicationOf(registry, change.name);
    if (publication !== undefined) {
      if (change.name === ACCOUNT_NAME) {
        const id = registry.config()?.id ?? "";
        await bucket.put(accountMark(id), "", { customMetadata: { id } });
      }
      await keys.put(publication.key, JSON.stringify(publication.value));
    }
    registry.published(change);
  }
}

/** Marks whatever the edge reads that is not as it should be. */
export async function markLost(
  registry: AccountRegistry,
  { keys, bucket }: AccountPlaces,
): Promise<void> {
  const names = [ACCOUNT_NAME, ...registry.keys().map(({ hash }) => hash)];
  for (const name of names) {
    const publication = publicationOf(registry, name);
    if (publication === undefined) continue;
    const isListed =
      name !== ACCOUNT_NAME ||
      (await bucket.head(accountMark(registry.config()?.id ?? ""))) !== null;
    const text = await keys.get(publication.key);
    if (!isListed || !saysSame(text, publication.value)) registry.markUnpublished(name);
  }
}

/** The ids of accounts, in their order: all of them, or so many after one. */
export async function listAccounts(
  bucket: Pick<R2Bucket, "list">,
  { after = "", limit = Number.POSITIVE_INFINITY } = {},
): Promise<string[]> {
  const ids: string[] = [];
  let startAfter = FOLDER + after;
  for (;;) {
    const page = await bucket.list({ prefix: FOLDER, startAfter });
    ids.push(...page.objects.map(({ key }) => key.slice(FOLDER.length)));
    const last = page.objects.at(-1);
    if (!page.truncated || last === undefined || ids.length >= limit) return ids.slice(0, limit);
    startAfter = last.key;
  }
}

function publicationOf(registry: AccountRegistry, name: PublishedName): Publication | undefined {
  if (name === ACCOUNT_NAME) {
    const config = registry.config();
    return config && { key: accountKey(config.id), value: edgeAccount(config) };
  }
  const stored = registry.keys().find(({ hash }) => hash === name);
  return stored && { key: keyRecordKey(stored.hash), value: stored.record };
}

function saysSame(text: string | null, value: unknown): boolean {
  try {
    return isSameJson(JSON.parse(text ?? "null"), value);
  } catch {
    return false;
  }
}
