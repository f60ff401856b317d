import * as v from "valibot";

import { KeyRecord } from "../../accounts/key-record.ts";
import { canonicalJson } from "../../catalog/same-json.ts";
import { AccountConfig } from "./account-config.ts";

/** `account`, or the hash of a key. */
export type PublishedName = string;
export const ACCOUNT_NAME = "account";

export interface StoredKey {
  readonly hash: string;
  readonly record: KeyRecord;
}

/** Something that others are still to be shown. */
export interface Unpublished {
  readonly name: PublishedName;
  /** Another one: it has changed since. */
  readonly version: number;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS account_config (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    config TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS account_keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS unpublished (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
  ) STRICT;
`;

/**
 * The account itself and its keys, as its Durable Object keeps them: the one place where they change, so two
 * who change them at the same time see each other. Secrets are not in it: a key is known by its hash.
 */
export class AccountRegistry {
  readonly #storage: Pick<DurableObjectStorage, "sql" | "transactionSync">;

  constructor(storage: Pick<DurableObjectStorage, "sql" | "transactionSync">) {
    this.#storage = storage;
    storage.sql.exec(TABLES);
  }

  config(): AccountConfig | undefined {
    const [row] = this.#storage.sql
      .exec<{ config: string }>("SELECT config FROM account_config")
      .toArray();
    return row && v.parse(AccountConfig, JSON.parse(row.config));
  }

  /** @returns false when the account is not what the caller saw (null: none) */
  replace(seen: AccountConfig | null, next: AccountConfig): boolean {
    return this.#storage.transactionSync(() => {
      if (!isSame(this.config() ?? null, seen)) return false;
      this.#storage.sql.exec(
        "INSERT OR REPLACE INTO account_config VALUES (1, ?)",
        JSON.stringify(v.parse(AccountConfig, next)),
      );
      this.#mark(ACCOUNT_NAME);
      return true;
    });
  }

  /** Oldest first. */
  keys(): StoredKey[] {
    return this.#storage.sql
      .exec<{ hash: string; record: string }>("SELECT hash, record FROM account_keys ORDER BY seq")
      .toArray()
      .map(({ hash, record }) => ({ hash, record: v.parse(KeyRecord, JSON.parse(record)) }));
  }

  /**
   * Adds a key and, of a rotation, changes the one that it replaces.
   *
   * @returns false when one of those that are there is not what the caller saw
   */
  putKeys(
    seen: readonly KeyRecord[],
    { added, changed }: { readonly added?: StoredKey; readonly changed?: KeyRecord },
  ): boolean {
    return this.#storage.transactionSync(() => {
      const known = this.keys();
      if (
        !isSame(
          known.map(({ record }) => record),
          seen,
        )
      )
        return false;
      if (added !== undefined) {
        const { hash, record } = added;
        this.#storage.sql.exec(
          "INSERT INTO account_keys (hash, id, record) VALUES (?, ?, ?)",
          hash,
          record.id,
          JSON.stringify(v.parse(KeyRecord, record)),
        );
        this.#mark(hash);
      }
      const old = known.find(({ record }) => record.id === changed?.id);
      if (old !== undefined && changed !== undefined) {
        this.#storage.sql.exec(
          "UPDATE account_keys SET record = ? WHERE hash = ?",
          JSON.stringify(v.parse(KeyRecord, changed)),
          old.hash,
        );
        this.#mark(old.hash);
      }
      return true;
    });
  }

  unpublished(): Unpublished[] {
    return this.#storage.sql
      .exec<{ name: string; version: number }>(
        "SELECT name, version FROM unpublished ORDER BY version",
      )
      .toArray();
  }

  /** What was shown, if it has not changed meanwhile. */
  published({ name, version }: Unpublished): void {
    this.#storage.sql.exec("DELETE FROM unpublished WHERE name = ? AND version = ?", name, version);
  }

  /** Is to be shown again. */
  markUnpublished(name: PublishedName): void {
    this.#mark(name);
  }

  #mark(name: PublishedName): void {
    this.#storage.sql.exec("INSERT OR REPLACE INTO unpublished (name) VALUES (?)", name);
  }
}

function isSame(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
