import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { Account, accountKey } from "./account.ts";
import type { AuthenticateDeps } from "./authenticate.ts";
import { verifyClientToken } from "./client-token.ts";
import { KV_CACHE_SECONDS, KeyCache } from "./key-cache.ts";
import { KeyRecord, keyRecordKey } from "./key-record.ts";
import { TokenCache } from "./token-cache.ts";

/** The part of a KV namespace that the directory needs. */
export interface DirectoryNamespace {
  get(key: string, options: { type: "text"; cacheTtl: number }): Promise<string | null>;
}

/** What an isolate knows of keys, accounts and client tokens, read from KV when it must be. */
export class Directory {
  readonly #namespace: DirectoryNamespace | undefined;
  readonly #keys = new KeyCache<KeyRecord>();
  readonly #accounts = new KeyCache<Account>();
  readonly #tokens = new TokenCache();

  /** @param namespace without one, no key is known */
  constructor(namespace: DirectoryNamespace | undefined) {
    this.#namespace = namespace;
  }

  /** What {@link authenticate} needs, for one request. */
  at(now: number): AuthenticateDeps {
    const account = (id: string): Promise<Account | undefined> =>
      this.#accounts.get(id, now, () => this.#read(accountKey(id), Account));
    const deps = { account, now: () => now };
    return {
      ...deps,
      lookup: (hash) => this.#keys.get(hash, now, () => this.#read(keyRecordKey(hash), KeyRecord)),
      verifyToken: (token, field) =>
        this.#tokens.get(token, deps, () => verifyClientToken(token, deps, field)),
    };
  }

  async #read<S extends v.GenericSchema>(
    key: string,
    schema: S,
  ): Promise<v.InferOutput<S> | undefined> {
    try {
      const text = await this.#namespace?.get(key, { type: "text", cacheTtl: KV_CACHE_SECONDS });
      return typeof text === "string" ? v.parse(schema, JSON.parse(text)) : undefined;
    } catch (cause) {
      throw new NearsideError("keys_unavailable", "Keys can't be looked up right now.", {
        retryAfterSeconds: 1,
        cause,
      });
    }
  }
}
