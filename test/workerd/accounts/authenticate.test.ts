import { env } from "cloudflare:workers";
import * as v from "valibot";
import { describe, expect, it } from "vitest";

import { Account, accountKey } from "../../../src/accounts/account.ts";
import { authenticate } from "../../../src/accounts/authenticate.ts";
import { generateKey, hashKey, parseKey } from "../../../src/accounts/key.ts";
import { KV_CACHE_SECONDS, KeyCache } from "../../../src/accounts/key-cache.ts";
import { KeyRecord, issueKey, keyRecordKey } from "../../../src/accounts/key-record.ts";
import {
  Directory,
  NOW,
  REFUSED_TOKENS,
  acme,
  ed25519PrivateJwk,
  mint,
  mintWithP256,
  other,
  withKey,
} from "../../accounts/support.ts";

/** Keys and accounts in KV, as an isolate sees them. */
function directoryInKv(clock: { now: number }) {
  const reads: string[] = [];
  const records = new KeyCache<KeyRecord>();
  const accounts = new KeyCache<Account>();
  const read = async (key: string) => {
    reads.push(key.split(":")[0] ?? "");
    return env.CATALOG.get(key, { type: "json", cacheTtl: KV_CACHE_SECONDS });
  };
  return {
    reads,
    now: () => clock.now,
    lookup: (hash: string) =>
      records.get(hash, clock.now, async () => {
        const found = await read(keyRecordKey(hash));
        return found === null ? undefined : v.parse(KeyRecord, found);
      }),
    account: (id: string) =>
      accounts.get(id, clock.now, async () => {
        const found = await read(accountKey(id));
        return found === null ? undefined : v.parse(Account, found);
      }),
  };
}

const OPTIONS = { account: acme.id, name: "a", kind: "live", scopes: ["predict"] } as const;

describe("authentication in workerd", () => {
  it("makes and tells keys", async () => {
    for (let index = 0; index < 100; index++) {
      expect(parseKey(generateKey("test"))).toEqual({ ok: true, kind: "test" });
    }
    expect(await hashKey("abc")).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  it("reads a key and its account from KV once, and then does no I/O", async () => {
    const { key, hash, record } = await issueKey(OPTIONS, NOW);
    await env.CATALOG.put(keyRecordKey(hash), JSON.stringify(record));
    await env.CATALOG.put(accountKey(acme.id), JSON.stringify(acme));
    const directory = directoryInKv({ now: NOW });
    for (let index = 0; index < 3; index++) {
      expect(await authenticate(withKey(key), directory)).toMatchObject({
        account: acme,
        keyId: record.id,
      });
    }
    expect(directory.reads).toEqual(["key", "account"]);
  });

  it("refuses a revoked key once the isolate has forgotten the old record", async () => {
    const { key, hash, record } = await issueKey(OPTIONS, NOW);
    await env.CATALOG.put(accountKey(acme.id), JSON.stringify(acme));
    await env.CATALOG.put(keyRecordKey(hash), JSON.stringify(record));
    const clock = { now: NOW };
    const directory = directoryInKv(clock);
    await authenticate(withKey(key), directory);
    const revoked = { ...record, revokedAt: NOW };
    await env.CATALOG.put(keyRecordKey(hash), JSON.stringify(revoked));
    clock.now += 60_000;
    await expect(authenticate(withKey(key), directory)).rejects.toMatchObject({
      code: "key_revoked",
    });
  });

  it("verifies client tokens of both algorithms", async () => {
    const directory = new Directory(acme, other);
    for (const token of [
      await mint(),
      await mint({ key: ed25519PrivateJwk }),
      await mintWithP256(),
    ]) {
      expect(await authenticate(withKey(token), directory)).toMatchObject({ account: acme });
    }
  });

  it.each(REFUSED_TOKENS)("refuses a client token that %s", async (_, make, words) => {
    const shown = authenticate(withKey(await make()), new Directory(acme, other));
    await expect(shown).rejects.toMatchObject({
      code: "token_invalid",
      message: expect.stringContaining(words),
    });
  });
});
