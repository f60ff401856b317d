import {
  type CryptoKey,
  type JWK,
  SignJWT,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  jwtVerify,
} from "jose";
import * as v from "valibot";

import { ModelName } from "../catalog/manifest.ts";
import { type Account, AccountId, type Signer } from "./account.ts";
import { AuthError } from "./auth-error.ts";
import { type Principal, commonModels } from "./principal.ts";

const AUDIENCE = "nearside";
/** A token sits in a browser: what is stolen there is worth nothing an hour later. */
export const MAX_LIFE_SECONDS = 3600;
const DEFAULT_LIFE_SECONDS = 900;
/** Clocks of the customer's backend and ours may differ by so much. */
const CLOCK_SKEW_SECONDS = 30;
/** Some 40 models fit; a longer one is not worth decoding. */
const MAX_TOKEN_LENGTH = 4096;

/** What a browser may be trusted with. */
const TOKEN_SCOPES = ["predict", "models"] as const;
export type TokenScope = (typeof TOKEN_SCOPES)[number];

const Whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const Claims = v.object({
  iat: Whole,
  exp: Whole,
  jti: v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,128}$/)),
  /** Separated by spaces, as in OAuth (RFC 8693 §4.2). */
  scope: v.pipe(
    v.string(),
    v.transform((scope) => scope.split(" ")),
    v.array(v.picklist(TOKEN_SCOPES)),
  ),
  models: v.optional(v.array(ModelName)),
  /** Nano-dollars. Required: a copied token is valid until it expires, so this is what bounds it. */
  spend: Whole,
  sub: v.optional(v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,256}$/))),
});

export interface VerifyDeps {
  account(id: string): Promise<Account | undefined>;
  /** Milliseconds since the epoch. */
  now(): number;
}

/**
 * Verifies a token that a customer's backend minted for one of its browsers.
 *
 * Its signer decides the algorithm; the token's header only may agree. Whether an account or a
 * signer exists shows in the time that this takes: their ids are no secrets.
 *
 * @param field the header that the token came in
 * @throws AuthError `token_invalid`, `token_expired`
 */
export async function verifyClientToken(
  token: string,
  deps: VerifyDeps,
  field: string,
): Promise<Principal> {
  const { issuer, kid } = namesIn(token);
  const account = issuer === undefined ? undefined : await deps.account(issuer);
  const signer = account?.signers?.find((each) => each.kid === kid);
  if (account === undefined || signer === undefined) throw invalid(UNVERIFIED, field);
  const claims = await verified(token, account.id, signer, deps.now(), field);
  const models = commonModels(account.models, claims.models);
  return {
    account,
    keyId: `signer:${signer.kid}`,
    kind: signer.kind,
    scopes: claims.scope,
    tokenId: claims.jti,
    maxSpendNano: claims.spend,
    ...(models !== undefined && { models }),
    ...(claims.sub !== undefined && { user: claims.sub }),
  };
}

const UNVERIFIED = "The client token is not signed by a key that is registered for its account.";

/** What the token says of its origin, unverified: enough to find the key that must have signed it. */
function namesIn(token: string): { issuer?: string; kid?: string } {
  if (token.length > MAX_TOKEN_LENGTH) return {};
  try {
    const { iss } = decodeJwt(token);
    const { kid } = decodeProtectedHeader(token);
    return v.is(AccountId, iss) && typeof kid === "string" ? { issuer: iss, kid } : {};
  } catch {
    return {};
  }
}

async function verified(
  token: string,
  issuer: string,
  signer: Signer,
  now: number,
  field: string,
): Promise<v.InferOutput<typeof Claims>> {
  const payload = await jwtVerify(token, signer.jwk, {
    issuer,
    audience: AUDIENCE,
    algorithms: signer.jwk.kty === "OKP" ? ["EdDSA", "Ed25519"] : ["ES256"],
    clockTolerance: CLOCK_SKEW_SECONDS,
    currentDate: new Date(now),
    requiredClaims: ["exp"],
  }).then(
    (result) => result.payload,
    (error: unknown) => {
      throw refusalOf(error, field);
    },
  );
  const { success, output, issues } = v.safeParse(Claims, payload);
  if (!success) {
    const claim = issues.map((issue) => v.getDotPath(issue)).find((path) => path !== null);
    throw invalid(`The client token's "${claim ?? "claims"}" is missing or not allowed.`, field);
  }
  if (output.exp - output.iat > MAX_LIFE_SECONDS) {
    throw invalid("A client token lives for an hour at most.", field);
  }
  // Else a token dated ahead would outlive the hour.
  if (output.iat > now / 1000 + CLOCK_SKEW_SECONDS) {
    throw invalid("The client token is dated in the future.", field);
  }
  return output;
}

function refusalOf(cause: unknown, field: string): AuthError {
  if (cause instanceof errors.JWTExpired) {
    return new AuthError("token_expired", "The client token has expired.", { field, cause });
  }
  if (cause instanceof errors.JWTClaimValidationFailed) {
    return invalid(`The client token's "${cause.claim}" is not what it must be.`, field, cause);
  }
  return invalid(UNVERIFIED, field, cause);
}

function invalid(message: string, field: string, cause?: unknown): AuthError {
  return new AuthError("token_invalid", message, { field, cause });
}

export interface ClientTokenOptions {
  /** The account that pays. */
  readonly account: string;
  /** Under which the public key is registered. */
  readonly kid: string;
  /** The private key: Ed25519 or ECDSA P-256. */
  readonly key: CryptoKey | JWK;
  readonly scopes: readonly TokenScope[];
  /** What all requests with this token may cost together. */
  readonly spendNano: number;
  readonly models?: readonly string[];
  readonly user?: string;
  readonly lifeSeconds?: number;
  readonly tokenId?: string;
  readonly now?: number;
}

/**
 * Mints a token for one browser. Runs on the customer's backend, where the private key is.
 *
 * @example
 * ```ts
 * const token = await mintClientToken({
 *   account: "acc_…", kid: "backend-1", key, scopes: ["predict"], spendNano: 5_000_000, user: "u42",
 * });
 * ```
 */
export function mintClientToken({
  account,
  kid,
  key,
  scopes,
  spendNano,
  models,
  user,
  lifeSeconds = DEFAULT_LIFE_SECONDS,
  tokenId = crypto.randomUUID(),
  now = Date.now(),
}: ClientTokenOptions): Promise<string> {
  const issuedAt = Math.floor(now / 1000);
  const claims = { scope: scopes.join(" "), spend: spendNano, ...(models && { models }) };
  return new SignJWT({ ...claims, ...(user !== undefined && { sub: user }) })
    .setProtectedHeader({ alg: algorithmOf(key), kid, typ: "JWT" })
    .setIssuer(account)
    .setAudience(AUDIENCE)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + lifeSeconds)
    .setJti(tokenId)
    .sign(key);
}

function algorithmOf(key: CryptoKey | JWK): "EdDSA" | "ES256" {
  const name = "algorithm" in key ? (key as CryptoKey).algorithm.name : key.crv;
  return name === "Ed25519" ? "EdDSA" : "ES256";
}
