import { type FieldOccurrence, type Signer, createSignature, webcrypto } from "http-message-sig";

import { contentDigest } from "./content-digest.ts";
import { type PrivateKeyJwk, importPrivateKey } from "./signing-keys.ts";

/** Sets our signature apart from others in the same message. */
export const SIGNATURE_LABEL = "nearside";
/** Says what the signature is for (RFC 9421 §2.3), so that no other of the same key can stand in for it. */
export const SIGNATURE_TAG = "nearside";
export const SIGNATURE_ALGORITHM = "ed25519";
/** What each signature covers. */
export const REQUIRED_COMPONENTS = [
  "@method",
  "@authority",
  "@path",
  "@query",
  "content-digest",
] as const;
/** Headers that decide how the body is read: covered wherever they are present. */
export const PROTECTED_FIELDS = [
  "content-type",
  "content-encoding",
  // The binary tensor extension: where in the body the JSON ends.
  "inference-header-content-length",
] as const;
/** Each attempt is signed just before it leaves, so this is the time of an upload and its wait. */
export const SIGNATURE_LIFETIME_SECONDS = 60;

const EMPTY = new Uint8Array();

export interface SignerOptions {
  readonly privateKey: PrivateKeyJwk | CryptoKey;
  /** What the verifiers call the public half. */
  readonly keyId: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A nonce: unique and unguessable, such as `crypto.randomUUID()`. */
  readonly randomId: () => string;
  readonly lifetimeSeconds?: number;
}

/** A request as it will be sent. */
export interface RequestParts {
  readonly method: string;
  readonly url: string;
  /** A `Headers`, or pairs. */
  readonly headers: Iterable<readonly [string, string]>;
  /**
   * {@link contentDigest} of the body, computed once however many attempts there are; absent when
   * there is no body. A body that is not held can't be signed: its digest would have to travel in a
   * trailer, which fetch can't send. Bodies of requests are held for retries, so this is no loss.
   */
  readonly bodyDigest?: string | undefined;
}

/** Headers to set, replacing those of the same names. */
export type SignatureHeaders = Record<"content-digest" | "signature-input" | "signature", string>;
export type RequestSigner = (request: RequestParts) => Promise<SignatureHeaders>;

/**
 * Signs requests by RFC 9421 with Ed25519. Sign each attempt anew: a nonce is good for one, and the
 * signature covers the host.
 *
 * @example
 * const sign = createSigner({
 *   ...parseSigningKey(env.SIGNING_KEY),
 *   now: Date.now,
 *   randomId: () => crypto.randomUUID(),
 * });
 * for (const [name, value] of Object.entries(
 *   await sign({ method: "POST", url, headers, bodyDigest: await contentDigest(body) }),
 * )) {
 *   headers.set(name, value);
 * }
 */
export function createSigner(options: SignerOptions): RequestSigner {
  const { privateKey, keyId, now, randomId } = options;
  const lifetimeSeconds = options.lifetimeSeconds ?? SIGNATURE_LIFETIME_SECONDS;
  // Kept as a value, not a promise: a promise of one request is not safely awaited in another.
  let signer: Signer | undefined;
  let emptyDigest: string | undefined;
  return async ({ method, url, headers, bodyDigest }) => {
    signer ??= webcrypto.signer(
      "kty" in privateKey ? await importPrivateKey(privateKey) : privateKey,
    );
    const digest = bodyDigest ?? (emptyDigest ??= await contentDigest(EMPTY));
    const covered = protectedFields(headers);
    const created = Math.floor(now() / 1000);
    const { signature, signatureInput } = await createSignature(
      {
        kind: "request",
        method,
        targetUri: sentUrl(url),
        fields: [...covered, { name: "content-digest", value: digest }],
      },
      {
        label: SIGNATURE_LABEL,
        components: [...REQUIRED_COMPONENTS, ...new Set(covered.map(({ name }) => name))],
        parameters: {
          created,
          expires: created + lifetimeSeconds,
          nonce: randomId(),
          keyid: keyId,
          tag: SIGNATURE_TAG,
        },
        signer,
      },
    );
    return { "content-digest": digest, "signature-input": signatureInput, signature };
  };
}

function protectedFields(headers: RequestParts["headers"]): FieldOccurrence[] {
  const names: readonly string[] = PROTECTED_FIELDS;
  return [...headers]
    .map(([name, value]) => ({ name: name.toLowerCase(), value }))
    .filter(({ name }) => names.includes(name));
}

/** fetch sends the URL as the parser writes it, and never the fragment. */
function sentUrl(url: string): string {
  const sent = new URL(url);
  sent.hash = "";
  return sent.href;
}
