import type { Account } from "./account.ts";
import { bearerToken } from "./admin-token.ts";
import { AuthError } from "./auth-error.ts";
import { verifyClientToken } from "./client-token.ts";
import { type ParsedKey, hashKey, parseKey } from "./key.ts";
import { type KeyRecord, allowsOrigin, keyState } from "./key-record.ts";
import { type Principal, commonModels } from "./principal.ts";

export interface AuthenticateDeps {
  /** The record of the key with this SHA-256 (hex); undefined when there is none. */
  lookup(hash: string): Promise<KeyRecord | undefined>;
  account(id: string): Promise<Account | undefined>;
  /** Milliseconds since the epoch. */
  now(): number;
  /** {@link verifyClientToken}, where what it found is remembered. */
  verifyToken?(token: string, field: string): Promise<Principal>;
}

const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

const MALFORMED: { readonly [R in Extract<ParsedKey, { ok: false }>["malformed"]]: string } = {
  prefix: "A key begins with nsk_live_ or nsk_test_.",
  length: "The key is too short or too long; part of it may be missing.",
  alphabet: "The key contains a character that no key has.",
  checksum: "The key's checksum is wrong; a character is mistyped.",
};

/**
 * Says who asks, by the key or client token in `Authorization: Bearer` or else `x-api-key`.
 * What they may do is for {@link authorize} to say.
 *
 * Unknown, revoked and expired keys take the same steps: one digest, one lookup. A lookup is by the
 * digest of the secret, so that nothing here compares secrets. Malformed keys are refused before
 * that; their checksum is public, and tells nothing of which keys exist.
 *
 * @throws AuthError for every refusal; what `deps` throw is passed on
 */
export async function authenticate(request: Request, deps: AuthenticateDeps): Promise<Principal> {
  const bearer = bearerToken(request);
  const credential = bearer ?? request.headers.get("x-api-key") ?? "";
  const field = bearer === undefined ? "x-api-key" : "authorization";
  if (credential === "") {
    throw new AuthError("key_missing", "Send a key: Authorization: Bearer nsk_live_….", {
      field: "authorization",
    });
  }
  const verify = deps.verifyToken ?? ((token) => verifyClientToken(token, deps, field));
  const principal = JWT.test(credential)
    ? await verify(credential, field)
    : await byKey(request, credential, field, deps);
  if (principal.account.status !== "active") {
    throw new AuthError("account_suspended", "The account is suspended; ask its owner.", { field });
  }
  return principal;
}

async function byKey(
  request: Request,
  key: string,
  field: string,
  deps: AuthenticateDeps,
): Promise<Principal> {
  const parsed = parseKey(key);
  if (!parsed.ok) throw new AuthError("key_malformed", MALFORMED[parsed.malformed], { field });
  const record = await deps.lookup(await hashKey(key));
  refuseUnlessActive(record, deps.now(), field);
  if (!allowsOrigin(record.origins, request.headers.get("origin"))) {
    throw new AuthError("origin_not_allowed", "The key may not be used from this page.", {
      field: "origin",
    });
  }
  const account = await deps.account(record.account);
  if (account === undefined) throw unknown(field);
  const models = commonModels(account.models, record.models);
  return {
    account,
    keyId: record.id,
    kind: record.kind,
    scopes: record.scopes,
    ...(models !== undefined && { models }),
  };
}

function refuseUnlessActive(
  record: KeyRecord | undefined,
  now: number,
  field: string,
): asserts record is KeyRecord {
  if (record === undefined) throw unknown(field);
  switch (keyState(record, now)) {
    case "revoked":
      throw new AuthError("key_revoked", "The key was revoked.", { field });
    case "expired":
      throw new AuthError("key_expired", "The key has expired.", { field });
    case "replaced":
      throw new AuthError("key_expired", "The key was replaced; use its successor.", { field });
    case "active":
  }
}

function unknown(field: string): AuthError {
  return new AuthError("key_unknown", "There is no such key.", { field });
}
