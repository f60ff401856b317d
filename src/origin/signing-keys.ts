/** An Ed25519 public key as a JWK (RFC 8037). */
export interface PublicKeyJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid?: string;
}

/** An Ed25519 private key as a JWK: the public one, and `d`. */
export interface PrivateKeyJwk extends PublicKeyJwk {
  readonly d: string;
}

export interface SigningKeys {
  readonly keyId: string;
  /** For the one who signs: the secret SIGNING_KEY. */
  readonly privateKey: PrivateKeyJwk;
  /** For those who verify. */
  readonly publicKey: PublicKeyJwk;
}

/** 32 bytes in base64url without padding. */
const KEY_BYTES = /^[A-Za-z0-9_-]{43}$/;
const HOW_TO =
  "SIGNING_KEY must be the text of an Ed25519 private key as a JWK with kty, crv, kid, x and d, as generateSigningKeys makes it; " +
  "put it with `wrangler secret put SIGNING_KEY --config workers/origin/wrangler.toml`.";

/**
 * Makes a pair of keys. To put them to use:
 *
 * 1. Add `publicKey` to the keys of every origin (`createVerifier({ keys: new Map([[keyId, publicKey]]) })`).
 * 2. `wrangler secret put SIGNING_KEY --config workers/origin/wrangler.toml`, and paste
 *    `JSON.stringify(privateKey)`.
 *
 * To rotate: the same two steps with a new pair, the old public key staying with the origins until
 * no signature made with the old one can live on (two minutes); then remove it.
 *
 * @param keyId what the signatures call the key; its thumbprint (RFC 7638) when absent
 */
export async function generateSigningKeys(keyId?: string): Promise<SigningKeys> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new Error("Ed25519 makes pairs of keys.");
  const exported = await crypto.subtle.exportKey("jwk", pair.privateKey);
  const { x = "", d = "" } = exported instanceof ArrayBuffer ? {} : exported;
  const kid = keyId ?? (await thumbprint(x));
  const publicKey = { kty: "OKP", crv: "Ed25519", kid, x } as const;
  return { keyId: kid, privateKey: { ...publicKey, d }, publicKey };
}

/**
 * Reads the secret SIGNING_KEY.
 *
 * @throws Error whose words say how to put it right, and never what it holds
 */
export function parseSigningKey(text: string): { privateKey: PrivateKeyJwk; keyId: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(HOW_TO);
  }
  if (typeof value !== "object" || value === null) throw new Error(HOW_TO);
  const { kty, crv, kid, x, d } = value as Record<string, unknown>;
  if (kty !== "OKP" || crv !== "Ed25519" || typeof kid !== "string" || kid === "") {
    throw new Error(HOW_TO);
  }
  if (!isKeyBytes(x) || !isKeyBytes(d)) throw new Error(HOW_TO);
  return { privateKey: { kty, crv, kid, x, d }, keyId: kid };
}

/** Says what is wrong with a key that an origin is to trust. @throws Error */
export function assertPublicKey(keyId: string, key: PublicKeyJwk): void {
  if ("d" in key) {
    throw new Error(
      `The key "${keyId}" is a private one. Give an origin the public half only (without "d"), and make a new pair if it has left your hands.`,
    );
  }
  if (key.kty !== "OKP" || key.crv !== "Ed25519" || !isKeyBytes(key.x)) {
    throw new Error(`The key "${keyId}" is not an Ed25519 public key as a JWK.`);
  }
}

/** Only what makes the key is given on: runtimes differ in the `alg` and `key_ops` they accept. */
export function importPublicKey({ kty, crv, x }: PublicKeyJwk): Promise<CryptoKey> {
  return crypto.subtle.importKey("jwk", { kty, crv, x }, "Ed25519", false, ["verify"]);
}

/** As {@link importPublicKey}. */
export function importPrivateKey({ kty, crv, x, d }: PrivateKeyJwk): Promise<CryptoKey> {
  return crypto.subtle.importKey("jwk", { kty, crv, x, d }, "Ed25519", false, ["sign"]);
}

function isKeyBytes(value: unknown): value is string {
  return typeof value === "string" && KEY_BYTES.test(value);
}

async function thumbprint(x: string): Promise<string> {
  const text = JSON.stringify({ crv: "Ed25519", kty: "OKP", x });
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(digest)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
