import { type CryptoKey, SignJWT, UnsecuredJWT, exportJWK, generateKeyPair } from "jose";
import * as v from "valibot";

import { Account, newId } from "../../src/accounts/account.ts";
import type { AuthenticateDeps } from "../../src/accounts/authenticate.ts";
import type { ClientTokenOptions } from "../../src/accounts/client-token.ts";
import { mintClientToken } from "../../src/accounts/client-token.ts";
import { hashKey } from "../../src/accounts/key.ts";
import { type KeyOptions, type KeyRecord, issueKey } from "../../src/accounts/key-record.ts";

export const NOW = Date.UTC(2026, 10, 24);
export const SECONDS = NOW / 1000;

const ed25519 = await generateKeyPair("EdDSA", { extractable: true });
const p256 = await generateKeyPair("ES256", { extractable: true });
export const stranger = await generateKeyPair("EdDSA");
export const ed25519Jwk = await exportJWK(ed25519.publicKey);
export const ed25519PrivateJwk = await exportJWK(ed25519.privateKey);

export const acme = v.parse(Account, {
  id: newId("acc_"),
  name: "Acme",
  plan: "pay",
  currency: "USD",
  billing: "prepaid",
  limits: { monthNano: 5_000_000_000 },
  status: "active",
  signers: [
    { kid: "ed", jwk: ed25519Jwk },
    { kid: "ec", jwk: await exportJWK(p256.publicKey), kind: "test" },
  ],
});

/** Another account, whose signer has the same kid as one of Acme's. */
export const other = v.parse(Account, {
  ...acme,
  id: newId("acc_"),
  signers: [{ kid: "ed", jwk: await exportJWK(stranger.publicKey) }],
});

/** The directory of keys and accounts in memory, and the calls that were made on it. */
export class Directory implements AuthenticateDeps {
  readonly calls: string[] = [];
  time = NOW;
  readonly #records = new Map<string, KeyRecord>();
  readonly #accounts = new Map<string, Account>();

  constructor(...accounts: Account[]) {
    for (const account of accounts) this.#accounts.set(account.id, account);
  }

  now(): number {
    return this.time;
  }

  async lookup(hash: string): Promise<KeyRecord | undefined> {
    this.calls.push("lookup");
    return this.#records.get(hash);
  }

  async account(id: string): Promise<Account | undefined> {
    this.calls.push("account");
    return this.#accounts.get(id);
  }

  /** Issues a key whose record is then changed. */
  async issue(options: Partial<KeyOptions> = {}, change: Partial<KeyRecord> = {}): Promise<string> {
    const { key, record } = await issueKey(
      { account: acme.id, name: "server", kind: "live", scopes: ["predict"], ...options },
      NOW - 1000,
    );
    await this.replace(key, { ...record, ...change });
    return key;
  }

  async replace(key: string, record: KeyRecord): Promise<void> {
    this.#records.set(await hashKey(key), record);
  }
}

export const withHeaders = (headers: Record<string, string>): Request =>
  new Request("https://edge.test/v2/models", { headers });

export const withKey = (key: string, headers: Record<string, string> = {}): Request =>
  withHeaders({ authorization: `Bearer ${key}`, ...headers });

/** What Acme's backend mints, unless the test says otherwise. */
export const mint = (options: Partial<ClientTokenOptions> = {}): Promise<string> =>
  mintClientToken({
    account: acme.id,
    kid: "ed",
    key: ed25519.privateKey,
    scopes: ["predict"],
    spendNano: 1_000_000,
    now: NOW,
    ...options,
  });

export const mintWithP256 = (): Promise<string> => mint({ kid: "ec", key: p256.privateKey });

interface Forgery {
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
  readonly key?: CryptoKey | Uint8Array;
}

const claimsOf = (claims: Record<string, unknown> = {}) => ({
  iss: acme.id,
  aud: "nearside",
  iat: SECONDS,
  exp: SECONDS + 60,
  jti: "t1",
  scope: "predict",
  spend: 1000,
  ...claims,
});

/** A token with any header and claims, signed with any key; a claim that is undefined is left out. */
export const forge = ({ header, claims, key = ed25519.privateKey }: Forgery): Promise<string> =>
  new SignJWT(claimsOf(claims))
    .setProtectedHeader({ alg: "EdDSA", kid: "ed", ...header })
    .sign(key);

/** `{"alg":"none"}` with the kid that has a key. */
function unsigned(): string {
  const [, payload = ""] = new UnsecuredJWT(claimsOf()).encode().split(".");
  return `${btoa(JSON.stringify({ alg: "none", kid: "ed" })).replaceAll("=", "")}.${payload}.`;
}

const swapPayload = (token: string, from: string): string =>
  token
    .split(".")
    .with(1, from.split(".")[1] ?? "")
    .join(".");

/** Tokens that anybody might try, why each is refused, and with which words. */
export const REFUSED_TOKENS: readonly [string, () => Promise<string> | string, string][] = [
  ["is for another audience", () => forge({ claims: { aud: "elsewhere" } }), '"aud" is not'],
  ["names an account that is not there", () => mint({ account: newId("acc_") }), "not signed"],
  ["names another account, with the same kid", () => mint({ account: other.id }), "not signed"],
  ["names no account", () => forge({ claims: { iss: undefined } }), "not signed"],
  ["names what is no account", () => forge({ claims: { iss: "../key:1" } }), "not signed"],
  ["names a signer that is not there", () => mint({ kid: "gone" }), "not signed"],
  ["names no signer", () => forge({ header: { kid: undefined } }), "not signed"],
  ["is signed by a stranger", () => mint({ key: stranger.privateKey }), "not signed"],
  ["brings its own key", () => mintWithOwnKey(), "not signed"],
  ["is not signed at all", unsigned, "not signed"],
  [
    "is signed with the public key as a secret",
    () =>
      forge({
        header: { alg: "HS256" },
        key: new TextEncoder().encode(JSON.stringify(ed25519Jwk).padEnd(64)),
      }),
    "not signed",
  ],
  [
    "names one signer and is signed by another's algorithm",
    () => forge({ header: { alg: "ES256" }, key: p256.privateKey }),
    "not signed",
  ],
  [
    "carries the claims of another token",
    async () => swapPayload(await mint(), await mint({ spendNano: 9e12 })),
    "not signed",
  ],
  ["has lost its signature", async () => (await mint()).replace(/[^.]*$/, ""), "not signed"],
  ["is too long", () => mint({ user: "u".repeat(5000) }), "not signed"],
  ["is three random words", () => "abc.def.ghi", "not signed"],
  ["lives for more than an hour", () => mint({ lifeSeconds: 3601 }), "an hour at most"],
  [
    "is dated ahead, to live longer",
    () => mint({ now: NOW + 3_600_000, lifeSeconds: 3600 }),
    "dated in the future",
  ],
  ["never expires", () => forge({ claims: { exp: undefined } }), '"exp" is not'],
  ["is not dated", () => forge({ claims: { iat: undefined } }), '"iat" is missing'],
  ["has no id", () => forge({ claims: { jti: undefined } }), '"jti" is missing'],
  ["has no bound on what it spends", () => forge({ claims: { spend: undefined } }), '"spend" is'],
  ["would spend a fraction", () => forge({ claims: { spend: 0.5 } }), '"spend" is'],
  ["would spend less than nothing", () => forge({ claims: { spend: -1 } }), '"spend" is'],
  ["would spend more than can be counted", () => forge({ claims: { spend: 2 ** 53 } }), '"spend"'],
  ["has no scope", () => forge({ claims: { scope: "" } }), '"scope'],
  ["has the scope of an operator", () => forge({ claims: { scope: "predict admin" } }), '"scope'],
  ["may override flags", () => forge({ claims: { scope: "override" } }), '"scope'],
  ["names its models in one string", () => forge({ claims: { models: "iris" } }), '"models" is'],
  ["is for a user with a line break", () => mint({ user: "a\nb" }), '"sub" is'],
];

async function mintWithOwnKey(): Promise<string> {
  const jwk = await exportJWK(stranger.publicKey);
  return forge({ header: { jwk }, key: stranger.privateKey });
}
