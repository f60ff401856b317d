/** The algorithms of RFC 9530 that resist an attacker; all others (md5, crc32c, …) prove nothing. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ["sha-256", "SHA-256"],
  ["sha-512", "SHA-512"],
]);
/** One member of a structured dictionary whose value is bytes: `sha-256=:47DEQ…:`. */
const MEMBER = /^([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):$/;

export type DigestVerdict = "match" | "mismatch" | "malformed" | "unsupported";

/**
 * The `Content-Digest` (RFC 9530) of a body: `sha-256=:<base64>:`.
 *
 * @example
 * headers.set("content-digest", await contentDigest(body));
 */
export async function contentDigest(
  body: Uint8Array,
  algorithm: "sha-256" | "sha-512" = "sha-256",
): Promise<string> {
  return `${algorithm}=:${await digestOf(body, ALGORITHMS.get(algorithm) ?? "")}:`;
}

/**
 * Compares a `Content-Digest` with the body. Each digest in it that can be judged must match, and
 * there must be one; those by other algorithms are passed over.
 */
export async function checkContentDigest(field: string, body: Uint8Array): Promise<DigestVerdict> {
  const members = new Map<string, string>();
  for (const text of field.split(",")) {
    const [, algorithm, digest] = MEMBER.exec(text.trim()) ?? [];
    // A structured dictionary would let the last of two equal keys win; whoever reads the first errs.
    if (algorithm === undefined || digest === undefined || members.has(algorithm)) {
      return "malformed";
    }
    members.set(algorithm, digest);
  }
  const known = [...members].filter(([algorithm]) => ALGORITHMS.has(algorithm));
  if (known.length === 0) return "unsupported";
  for (const [algorithm, digest] of known) {
    if ((await digestOf(body, ALGORITHMS.get(algorithm) ?? "")) !== digest) return "mismatch";
  }
  return "match";
}

async function digestOf(body: Uint8Array, algorithm: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest(algorithm, body));
  return btoa(String.fromCharCode(...digest));
}
