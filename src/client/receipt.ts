import { NearsideError, type ReceiptErrorCode, jsonOf, objectOf } from "./error.ts";
import type { Fetch } from "./caller.ts";
import { utf8 } from "./utf8.ts";

/** What one request was and cost, as its receipt says. */
export interface Receipt {
  readonly requestId: string;
  /** The event's id: the account's ledger has it once. */
  readonly event: string;
  /** ISO 8601. */
  readonly at: string;
  readonly account: string;
  readonly model: string;
  readonly version: number;
  /** Digest of the manifest, which names everything that the model is made of. */
  readonly manifest: string;
  readonly placement: "edge" | "origin";
  readonly units: Readonly<Record<string, number>>;
  /** The price's id. */
  readonly price: string;
  /** In nano-dollars. */
  readonly amount: number;
  readonly currency: "USD";
  /** SHA-256 of the bodies, in hex. */
  readonly requestDigest: string;
  readonly responseDigest: string;
}

/** A public key that signs receipts, or did. */
export interface ReceiptKey {
  readonly kid: string;
  readonly kty?: string;
  readonly crv?: string;
  readonly x?: string;
  /** Seconds since the epoch between which it signs. */
  readonly nbf?: number;
  readonly exp?: number;
}

export interface ReceiptKeySet {
  readonly keys: readonly ReceiptKey[];
}

/** Where the keys are, and what the receipt should be of. */
export interface VerifyOptions {
  /** The keys; those of `baseUrl` when absent. */
  readonly jwks?: ReceiptKeySet | undefined;
  /** The edge, whose `/.well-known/jwks.json` has the keys. */
  readonly baseUrl?: string | undefined;
  readonly fetch?: Fetch | undefined;
  /** The bodies as they were sent and came. */
  readonly request?: string | Uint8Array | undefined;
  readonly response?: string | Uint8Array | undefined;
}

/** Receipts of requests that were answered while keys changed may be so late. */
const KEY_SKEW_SECONDS = 300;

/**
 * Checks a receipt: its signature (Ed25519) by a published key in that key's time, and that it is of these bodies,
 * as far as they are given.
 *
 * @example
 * const { meta, request, response } = await nearside.predict("iris", [5.1, 3.5, 1.4, 0.2]).withMeta();
 * const { amount, units } = await verifyReceipt(meta.receipt, { baseUrl, request, response });
 * @throws NearsideError with a {@link ReceiptErrorCode}; `network_failed` without keys
 */
export async function verifyReceipt(
  receipt: string | undefined,
  options: VerifyOptions,
): Promise<Receipt> {
  const [head = "", payload = "", signature = "", ...more] = (receipt ?? "").split(".");
  const { alg, kid, typ } = objectOf(jsonOf(textOf(head))) as Record<string, unknown>;
  const isReceipt = alg === "EdDSA" && typ === "nearside-receipt+jws" && more.length === 0;
  if (!isReceipt || typeof kid !== "string") throw fault("receipt_malformed", "is none");
  const key = (options.jwks ?? (await fetchKeys(options))).keys.find((one) => one.kid === kid);
  if (key === undefined) throw fault("receipt_unknown_key", "is signed by an unknown key");
  if (!(await isSigned(key, signature, `${head}.${payload}`))) {
    throw fault("receipt_bad_signature", "has a signature that does not hold");
  }
  const signed = jsonOf(textOf(payload)) as Receipt;
  const seconds = Date.parse(objectOf(signed) === signed ? signed.at : "") / 1_000;
  const { nbf = 0, exp = Number.POSITIVE_INFINITY } = key;
  if (Number.isNaN(seconds)) throw fault("receipt_malformed", "is none");
  if (seconds < nbf - KEY_SKEW_SECONDS || seconds >= exp + KEY_SKEW_SECONDS) {
    throw fault("receipt_outside_key_time", "was signed outside its key's time");
  }
  const { request, response } = options;
  if (request !== undefined && (await digestOf(request)) !== signed.requestDigest) {
    throw fault("receipt_other_request", "is of another request");
  }
  if (response !== undefined && (await digestOf(response)) !== signed.responseDigest) {
    throw fault("receipt_other_response", "is of another answer");
  }
  return signed;
}

async function isSigned({ kty, crv, x }: ReceiptKey, signature: string, input: string) {
  try {
    const jwk = { kty, crv, x } as JsonWebKey;
    const key = await crypto.subtle.importKey("jwk", jwk, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, bytesOf(signature), utf8(input));
  } catch (cause) {
    // A platform without Ed25519 must not look like a forgery.
    if (objectOf(cause) === cause && (cause as Error).name === "NotSupportedError") throw cause;
    return false;
  }
}

async function fetchKeys({ baseUrl = "", fetch: given }: VerifyOptions): Promise<ReceiptKeySet> {
  const url = `${baseUrl.replace(/\/+$/, "")}/.well-known/jwks.json`;
  try {
    const response = await (given ?? fetch)(url, {});
    const jwks = (await response.json()) as ReceiptKeySet;
    if (response.ok && Array.isArray(jwks.keys)) return jwks;
  } catch (cause) {
    throw new NearsideError("network_failed", `${url} does not answer.`, { cause });
  }
  throw new NearsideError("network_failed", `${url} has no keys.`);
}

async function digestOf(body: string | Uint8Array): Promise<string> {
  const bytes = typeof body === "string" ? utf8(body) : (body as Uint8Array<ArrayBuffer>);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Base64url; empty for what is none. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

const textOf = (base64url: string): string => new TextDecoder().decode(bytesOf(base64url));

function fault(code: ReceiptErrorCode, words: string): NearsideError {
  return new NearsideError(code, `The receipt ${words}.`);
}
