import {
  type FieldOccurrence,
  type UntrustedSignatureCandidate,
  type Verifier,
  verifySignature,
  webcrypto,
} from "http-message-sig";

import { checkContentDigest } from "./content-digest.ts";
import { Refusal, type RefusalReason, refusalReasonOf } from "./refusals.ts";
import type { NonceStore } from "./replay-guard.ts";
import {
  PROTECTED_FIELDS,
  REQUIRED_COMPONENTS,
  SIGNATURE_ALGORITHM,
  SIGNATURE_LABEL,
  SIGNATURE_TAG,
} from "./sign.ts";
import { type PublicKeyJwk, assertPublicKey, importPublicKey } from "./signing-keys.ts";

/** By so much may the signer's clock be ahead of the verifier's, or behind it. */
export const MAX_SKEW_SECONDS = 60;
/** A signature that claims to live longer is refused, or nonces would have to be kept for ever. */
export const MAX_LIFETIME_SECONDS = 300;
/** Each is kept in memory. */
const MAX_NONCE_LENGTH = 128;
const ED25519_SIGNATURE_BYTES = 64;
const OUR_MEMBER = new RegExp(`(?:^|,)\\s*${SIGNATURE_LABEL}=`);
/** The library and the URL parser must not differ on where the path begins: no `\\`, `@`, `#`, tabs. */
const PLAIN_URL = /^https?:\/\/[^/?#\\@\s]+(?:[/?][!-"$-~]*)?$/i;
const EMPTY = new Uint8Array();

export type Verdict =
  | { readonly ok: true; readonly keyId: string }
  | { readonly ok: false; readonly reason: RefusalReason };

export interface VerifierOptions {
  /** The public keys by the name that signatures give them. Changes count from the next request on. */
  readonly keys: ReadonlyMap<string, PublicKeyJwk>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly maxSkewSeconds?: number;
  readonly replay: NonceStore;
  /**
   * The names of this origin, as in the URLs of its pool: `gpu-1.example:8000`. Without them the
   * Host that a request shows is believed, and a request captured at another origin can be sent
   * here once, with that origin's name.
   */
  readonly authorities?: readonly string[];
}

/** A request as it came. */
export interface ReceivedRequest {
  readonly method: string;
  /** Not normalised. In Node: {@link receivedUrl}. */
  readonly url: string;
  /** A `Headers`, or pairs with one for each line. */
  readonly headers: Iterable<readonly [string, string]>;
  /** The body, or what reads it: called only once the signature is good. Absent when there is none. */
  readonly body?: Uint8Array | (() => Promise<Uint8Array>);
}

export type RequestVerifier = (request: ReceivedRequest) => Promise<Verdict>;

/**
 * Verifies what {@link createSigner} signs: for an origin on Node 22 or newer, or on Workers.
 *
 * @example
 * const verify = createVerifier({
 *   keys: new Map([["edge-1", { kty: "OKP", crv: "Ed25519", x: "JrQL…" }]]),
 *   now: Date.now,
 *   replay: new ReplayGuard(),
 *   authorities: ["gpu-1.example"],
 * });
 * const verdict = await verify({ method, url, headers, body });
 * if (!verdict.ok) return new Response(null, { status: 401 });
 *
 * @throws Error when a key is not an Ed25519 public key
 */
export function createVerifier(options: VerifierOptions): RequestVerifier {
  for (const [keyId, key] of options.keys) assertPublicKey(keyId, key);
  const imported = new WeakMap<PublicKeyJwk, Verifier>();

  const verifierOf = async (keyId: string): Promise<Verifier> => {
    const key = options.keys.get(keyId);
    if (key === undefined) throw new Refusal("unknown_key");
    const verifier = imported.get(key) ?? webcrypto.verifier(await importPublicKey(key));
    imported.set(key, verifier);
    return verifier;
  };

  return async ({ method, url, headers, body }) => {
    const skewSeconds = options.maxSkewSeconds ?? MAX_SKEW_SECONDS;
    const nowSeconds = Math.floor(options.now() / 1000);
    try {
      const fields = [...headers].map(([name, value]) => ({ name: name.toLowerCase(), value }));
      assertSigned(fields);
      assertAuthority(url, options.authorities);
      const { keyId, id, expires } = await verifySignature(
        { kind: "request", method, targetUri: url, fields: fields.filter(isAscii) },
        {
          label: SIGNATURE_LABEL,
          policy: {
            algorithms: [SIGNATURE_ALGORITHM],
            // Judged by resolveVerifier, where each has a reason of its own.
            requiredComponents: [],
            requiredParameters: [],
            clockSkew: Number.MAX_SAFE_INTEGER,
            now: nowSeconds,
          },
          resolveVerifier: (candidate) => {
            assertCoverage(candidate, fields);
            const claims = claimsOf(candidate);
            assertFresh(claims, nowSeconds, skewSeconds);
            return verifierOf(claims.keyId);
          },
        },
      ).then(claimsOf);
      // Before the body: one that trickles in must not outlast the memory of its nonce.
      const nonce = await options.replay.remember(id, expires + skewSeconds, nowSeconds);
      if (nonce === "seen") throw new Refusal("replayed");
      if (nonce === "full") throw new Refusal("replay_memory_full");
      await assertDigest(fields, typeof body === "function" ? await body() : (body ?? EMPTY));
      return { ok: true, keyId };
    } catch (error) {
      return { ok: false, reason: refusalReasonOf(error) };
    }
  };
}

interface Claims {
  readonly keyId: string;
  readonly created: number;
  readonly expires: number;
  /** The nonce as the guard keeps it: each key has its own. */
  readonly id: string;
}

function claimsOf({ parameters }: Pick<UntrustedSignatureCandidate, "parameters">): Claims {
  const { keyid, created, expires, nonce, tag } = parameters;
  if (
    tag !== SIGNATURE_TAG ||
    keyid === undefined ||
    created === undefined ||
    expires === undefined ||
    nonce === undefined
  ) {
    throw new Refusal("incomplete");
  }
  if (nonce === "" || nonce.length > MAX_NONCE_LENGTH || expires < created) {
    throw new Refusal("malformed");
  }
  return { keyId: keyid, created, expires, id: `${keyid}\n${nonce}` };
}

function assertFresh({ created, expires }: Claims, nowSeconds: number, skewSeconds: number): void {
  if (expires - created > MAX_LIFETIME_SECONDS) throw new Refusal("lifetime_too_long");
  if (created > nowSeconds + skewSeconds) throw new Refusal("not_yet_valid");
  if (expires < nowSeconds - skewSeconds) throw new Refusal("expired");
}

function assertSigned(fields: readonly FieldOccurrence[]): void {
  const [isSigned, isDescribed] = ["signature", "signature-input"].map((wanted) =>
    fields.some(({ name, value }) => name === wanted && OUR_MEMBER.test(value)),
  );
  if (!isSigned && !isDescribed) throw new Refusal("unsigned");
  if (!isSigned || !isDescribed) throw new Refusal("malformed");
}

function assertAuthority(url: string, authorities: readonly string[] | undefined): void {
  if (!PLAIN_URL.test(url) || !URL.canParse(url)) throw new Refusal("malformed");
  if (authorities !== undefined && !authorities.includes(new URL(url).host)) {
    throw new Refusal("wrong_authority");
  }
}

/** A header that decides how the body is read must be covered, or it could be added on the way. */
function assertCoverage(
  { components, signature }: UntrustedSignatureCandidate,
  fields: readonly FieldOccurrence[],
): void {
  const covered = new Set(
    components
      // `"content-digest";key="sha-512"` covers a part of the header only.
      .filter(({ parameters }) => Object.keys(parameters).length === 0)
      .map(({ name }) => name),
  );
  const present = new Set(fields.map(({ name }) => name));
  const required = [
    ...REQUIRED_COMPONENTS,
    ...PROTECTED_FIELDS.filter((name) => present.has(name)),
  ];
  if (!required.every((name) => covered.has(name))) throw new Refusal("incomplete");
  // workerd throws for another length, where Node says that it does not verify.
  if (signature.length !== ED25519_SIGNATURE_BYTES) throw new Refusal("bad_signature");
}

async function assertDigest(fields: readonly FieldOccurrence[], body: Uint8Array): Promise<void> {
  const field = fields
    .filter(({ name }) => name === "content-digest")
    .map(({ value }) => value)
    .join(", ");
  const verdict = await checkContentDigest(field, body);
  if (verdict === "mismatch") throw new Refusal("digest_mismatch");
  if (verdict !== "match") throw new Refusal("malformed");
}

/** Others' headers may hold anything; one that is covered and left out here fails the signature. */
function isAscii({ value }: FieldOccurrence): boolean {
  return /^[\t\x20-\x7e]*$/.test(value);
}
