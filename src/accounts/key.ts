const PREFIXES = { live: "nsk_live_", test: "nsk_test_" } as const;

/** Keys of both kinds work alike; `test` marks usage that nobody pays for. */
export type KeyKind = keyof typeof PREFIXES;

const KINDS: readonly KeyKind[] = ["live", "test"];
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE62 = /^[0-9A-Za-z]+$/;
/** 22 characters of base 62 are 130.9 bits. */
const RANDOM_LENGTH = 22;
/** 62^6 > 2^32: room for a CRC32. */
const CHECKSUM_LENGTH = 6;
/** The largest multiple of 62 that a byte holds: bytes from here on would favour some characters. */
const UNBIASED_BELOW = 248;
/** Shown at each end of a key in lists: at least 107 bits of it stay unknown. */
const SHOWN_LENGTH = 2;

export type ParsedKey =
  | { readonly ok: true; readonly kind: KeyKind }
  | { readonly ok: false; readonly malformed: "prefix" | "length" | "alphabet" | "checksum" };

/**
 * A new secret key: `nsk_live_` + 22 random characters + 6 of checksum.
 *
 * @example
 * ```ts
 * const key = generateKey("live"); // shown once
 * await kv.put(keyRecordKey(await hashKey(key)), JSON.stringify(record));
 * ```
 */
export function generateKey(kind: KeyKind): string {
  let key: string = PREFIXES[kind];
  const length = key.length + RANDOM_LENGTH;
  while (key.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(RANDOM_LENGTH))) {
      if (byte < UNBIASED_BELOW && key.length < length) key += ALPHABET[byte % 62];
    }
  }
  return key + checksumOf(key);
}

/**
 * Tells a key from a typo. Each single wrong character, and each two neighbours that changed places,
 * is found for certain. The checksum is public, so its comparison need not take constant time.
 */
export function parseKey(text: string): ParsedKey {
  const kind = KINDS.find((each) => text.startsWith(PREFIXES[each]));
  if (kind === undefined) return { ok: false, malformed: "prefix" };
  const prefix = PREFIXES[kind];
  if (text.length !== prefix.length + RANDOM_LENGTH + CHECKSUM_LENGTH) {
    return { ok: false, malformed: "length" };
  }
  if (!BASE62.test(text.slice(prefix.length))) return { ok: false, malformed: "alphabet" };
  const secret = text.slice(0, -CHECKSUM_LENGTH);
  return text.slice(-CHECKSUM_LENGTH) === checksumOf(secret)
    ? { ok: true, kind }
    : { ok: false, malformed: "checksum" };
}

/** SHA-256 of the whole key in hex: all that is ever stored of it. */
export async function hashKey(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(key));
  let hex = "";
  // Node 24 has no Uint8Array.prototype.toHex.
  for (const byte of new Uint8Array(digest)) hex += HEX[byte];
  return hex;
}

/** How lists show a key: `nsk_live_ab…yz`. */
export function displayKey(key: string): string {
  const start = PREFIXES.live.length + SHOWN_LENGTH;
  return `${key.slice(0, start)}…${key.slice(-SHOWN_LENGTH)}`;
}

const encoder = new TextEncoder();
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** CRC32 as in zlib and PNG, reflected. */
const CRC32 = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

function checksumOf(ascii: string): string {
  let crc = 0xffffffff;
  for (let index = 0; index < ascii.length; index++) {
    crc = (crc >>> 8) ^ (CRC32[(crc ^ ascii.charCodeAt(index)) & 0xff] ?? 0);
  }
  let rest = (crc ^ 0xffffffff) >>> 0;
  let text = "";
  for (; text.length < CHECKSUM_LENGTH; rest = Math.floor(rest / 62)) {
    text = (ALPHABET[rest % 62] ?? "") + text;
  }
  return text;
}
