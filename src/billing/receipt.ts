import { type JWK, base64url, compactVerify, decodeProtectedHeader, errors, importJWK } from "jose";
import * as v from "valibot";

import { Digest, ModelName, ModelVersion } from "../catalog/manifest.ts";
import { NanoAmount } from "./money.ts";

/** What one request was and cost, as its receipt says. */
export const Receipt = v.object({
  requestId: v.string(),
  /** The event's id: the ledger has it under this id, once. */
  event: v.string(),
  at: v.pipe(v.string(), v.isoTimestamp()),
  account: v.string(),
  model: ModelName,
  version: ModelVersion,
  /** Of the manifest, which names everything that the model is made of. */
  manifest: Digest,
  placement: v.picklist(["edge", "origin"]),
  units: v.record(v.string(), v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  /** The price's id. */
  price: v.string(),
  /** The list price of the request, in nano-dollars. */
  amount: NanoAmount,
  currency: v.literal("USD"),
  /** SHA-256 of the bodies, in hex. */
  requestDigest: Digest,
  responseDigest: Digest,
});
export type Receipt = v.InferOutput<typeof Receipt>;

/** A key pair (Ed25519) and the time in which it signs. */
export const ReceiptKey = v.object({
  kty: v.literal("OKP"),
  crv: v.literal("Ed25519"),
  kid: v.pipe(v.string(), v.minLength(1)),
  x: v.string(),
  d: v.string(),
  /** Seconds since the epoch; without an end it signs until another takes over. */
  nbf: v.optional(v.number()),
  exp: v.optional(v.number()),
});
export type ReceiptKey = v.InferOutput<typeof ReceiptKey>;

/** A public key with the time in which it signed. Without its key a receipt can't be checked: keep them all. */
export interface PublicReceiptKey extends JWK {
  readonly kid: string;
  readonly nbf?: number;
  readonly exp?: number;
}

export interface ReceiptKeySet {
  readonly keys: readonly PublicReceiptKey[];
}

export type ReceiptFault =
  | "malformed"
  | "unknown_key"
  | "bad_signature"
  | "outside_key_time"
  | "not_a_receipt";

export type CheckedReceipt =
  | { readonly ok: true; readonly receipt: Receipt; readonly kid: string }
  | { readonly ok: false; readonly fault: ReceiptFault };

const ALGORITHM = "EdDSA";
const TYPE = "nearside-receipt+jws";

/** Receipts of requests that were answered while keys changed may be so late. */
const KEY_SKEW_SECONDS = 300;

const encoder = new TextEncoder();

/**
 * Signs receipts as compact JWS (RFC 7515, RFC 8037). It keeps the imported key, so a signature is one call
 * of WebCrypto: 0.03 ms in workerd.
 *
 * ```ts
 * const signer = await ReceiptSigner.of(keys, Date.now());
 * headers.set("nearside-receipt", await signer.sign(receipt));
 * ```
 */
export class ReceiptSigner {
  readonly kid: string;
  readonly #key: CryptoKey;
  readonly #header: string;

  private constructor(kid: string, key: CryptoKey) {
    this.kid = kid;
    this.#key = key;
    this.#header = base64url.encode(JSON.stringify({ alg: ALGORITHM, kid, typ: TYPE }));
  }

  /** @throws RangeError when no key is for this time */
  static async of(keys: readonly ReceiptKey[], now: number): Promise<ReceiptSigner> {
    const jwk = signingKey(keys, now);
    if (jwk === undefined) throw new RangeError("No key is there to sign receipts with now.");
    const key = await importJWK({ ...jwk, alg: ALGORITHM }, ALGORITHM);
    if (key instanceof Uint8Array) throw new TypeError("A secret can't sign receipts.");
    return new ReceiptSigner(jwk.kid, key);
  }

  async sign(receipt: Receipt): Promise<string> {
    const input = `${this.#header}.${base64url.encode(JSON.stringify(receipt))}`;
    const signature = await crypto.subtle.sign("Ed25519", this.#key, encoder.encode(input));
    return `${input}.${base64url.encode(new Uint8Array(signature))}`;
  }
}

/** The key that took over last, of those whose time it is. */
export function signingKey(keys: readonly ReceiptKey[], now: number): ReceiptKey | undefined {
  const seconds = now / 1_000;
  return keys
    .filter(({ nbf = 0, exp = Number.POSITIVE_INFINITY }) => nbf <= seconds && seconds < exp)
    .toSorted((a, b) => (a.nbf ?? 0) - (b.nbf ?? 0))
    .at(-1);
}

/** For `/.well-known/jwks.json`: every key that ever signed, without what signs. */
export function publicKeys(keys: readonly ReceiptKey[]): ReceiptKeySet {
  return {
    keys: keys.map(({ kty, crv, kid, x, nbf, exp }) => ({
      kty,
      crv,
      kid,
      x,
      alg: ALGORITHM,
      use: "sig",
      ...(nbf !== undefined && { nbf }),
      ...(exp !== undefined && { exp }),
    })),
  };
}

/** Checks a receipt. It says nothing of whether it was billed: the ledger knows its digest. */
export async function checkReceipt(jws: string, { keys }: ReceiptKeySet): Promise<CheckedReceipt> {
  const kid = kidOf(jws);
  if (kid === undefined) return { ok: false, fault: "malformed" };
  const jwk = keys.find((key) => key.kid === kid);
  if (jwk === undefined) return { ok: false, fault: "unknown_key" };
  let payload: Uint8Array;
  try {
    const key = await importJWK(jwk, ALGORITHM);
    ({ payload } = await compactVerify(jws, key, { algorithms: [ALGORITHM] }));
  } catch (error) {
    const isForged = error instanceof errors.JWSSignatureVerificationFailed;
    return { ok: false, fault: isForged ? "bad_signature" : "malformed" };
  }
  const receipt = receiptOf(payload);
  if (receipt === undefined) return { ok: false, fault: "not_a_receipt" };
  const seconds = Date.parse(receipt.at) / 1_000;
  const { nbf = 0, exp = Number.POSITIVE_INFINITY } = jwk;
  if (seconds < nbf - KEY_SKEW_SECONDS || seconds >= exp + KEY_SKEW_SECONDS) {
    return { ok: false, fault: "outside_key_time" };
  }
  return { ok: true, receipt, kid };
}

/** SHA-256 in hex: how the event names its receipt, and a receipt its bodies. */
export async function digestOf(content: string | BufferSource): Promise<string> {
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  // Node 24, where receipts are checked too, has no `toHex`.
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A new key pair, for a secret of the edge. */
export async function generateReceiptKey(kid: string, nbf?: number): Promise<ReceiptKey> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("Ed25519 has pairs of keys.");
  const jwk = await crypto.subtle.exportKey("jwk", pair.privateKey);
  return v.parse(ReceiptKey, { ...jwk, kid, ...(nbf !== undefined && { nbf }) });
}

function kidOf(jws: string): string | undefined {
  try {
    const { kid, alg, typ } = decodeProtectedHeader(jws);
    return alg === ALGORITHM && typ === TYPE ? kid : undefined;
  } catch {
    return undefined;
  }
}

function receiptOf(payload: Uint8Array): Receipt | undefined {
  try {
    const parsed = v.safeParse(Receipt, JSON.parse(new TextDecoder().decode(payload)));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}
