import * as v from "valibot";

import { ModelName } from "../catalog/manifest.ts";
import { AccountId, newId } from "./account.ts";
import { type KeyKind, displayKey, generateKey, hashKey } from "./key.ts";

export const SCOPES = ["predict", "models", "override", "usage"] as const;
/** Older records have them; they never allowed anything. */
const RETIRED_SCOPES = ["admin"] as const;
export type Scope = (typeof SCOPES)[number];

const Milliseconds = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const KeyId = v.pipe(v.string(), v.regex(/^key_[a-z2-7]{16}$/));

/** `https://app.example.com`, as browsers write it, or `https://*.example.com` for what is below. */
export const OriginPattern = v.pipe(
  v.string(),
  v.check(isOriginPattern, "must be an origin as browsers send it, or https://*.example.com"),
);

/** What is known of a key. Strict: a restriction that this code does not know must not be dropped. */
export const KeyRecord = v.pipe(
  v.strictObject({
    schema: v.literal(1),
    id: KeyId,
    account: AccountId,
    name: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
    kind: v.picklist(["live", "test"]),
    /** `nsk_live_ab…yz`, for lists. */
    display: v.optional(v.string()),
    scopes: v.pipe(
      v.array(v.picklist([...SCOPES, ...RETIRED_SCOPES])),
      v.minLength(1),
      v.transform((scopes) => SCOPES.filter((scope) => scopes.includes(scope))),
    ),
    /** All of the account's models when absent. */
    models: v.optional(v.array(ModelName)),
    /** Pages that may use the key; anywhere, servers included, when absent. */
    origins: v.optional(v.array(OriginPattern)),
    /** All times in milliseconds since the epoch. */
    createdAt: Milliseconds,
    expiresAt: v.optional(Milliseconds),
    revokedAt: v.optional(Milliseconds),
    /** The id of the key that takes its place, and until when both work. */
    replacedBy: v.optional(KeyId),
    overlapUntil: v.optional(Milliseconds),
  }),
  v.check(
    ({ replacedBy, overlapUntil }) => (replacedBy === undefined) === (overlapUntil === undefined),
    "replacedBy and overlapUntil come together",
  ),
);
export type KeyRecord = v.InferOutput<typeof KeyRecord>;

/** Where the record stands in KV. */
export const keyRecordKey = (hash: string): string => `key:${hash}`;

export interface KeyOptions {
  readonly account: string;
  readonly name: string;
  readonly kind: KeyKind;
  readonly scopes: readonly Scope[];
  readonly models?: readonly string[];
  readonly origins?: readonly string[];
  readonly expiresAt?: number;
}

export interface IssuedKey {
  /** The secret itself: shown once, stored nowhere. */
  readonly key: string;
  readonly hash: string;
  readonly record: KeyRecord;
}

/** Makes a key and its record. @throws ValiError when the options do not make a valid record */
export async function issueKey(options: KeyOptions, now: number): Promise<IssuedKey> {
  const key = generateKey(options.kind);
  const record = v.parse(KeyRecord, {
    schema: 1,
    id: newId("key_"),
    ...options,
    display: displayKey(key),
    createdAt: now,
  });
  return { key, hash: await hashKey(key), record };
}

/** The old key's record once another takes its place; rotating again never prolongs its life. */
export function rotateKey(
  record: KeyRecord,
  replacedBy: string,
  overlapMilliseconds: number,
  now: number,
): KeyRecord {
  const overlapUntil = Math.min(record.overlapUntil ?? Infinity, now + overlapMilliseconds);
  return { ...record, replacedBy, overlapUntil };
}

export type KeyState = "active" | "revoked" | "expired" | "replaced";

/** Whether the key works. Revoked is revoked, whatever the clocks of two machines say. */
export function keyState(record: KeyRecord, now: number): KeyState {
  if (record.revokedAt !== undefined) return "revoked";
  if (record.expiresAt !== undefined && now >= record.expiresAt) return "expired";
  if (record.overlapUntil !== undefined && now >= record.overlapUntil) return "replaced";
  return "active";
}

const SUBDOMAINS = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;

/** Whether a request with this `Origin` header (null: none) may use a key with these patterns. */
export function allowsOrigin(
  patterns: readonly string[] | undefined,
  origin: string | null,
): boolean {
  if (patterns === undefined) return true;
  if (origin === null) return false;
  return patterns.some((pattern) => {
    if (!pattern.includes("//*.")) return pattern === origin;
    const [start = "", end = ""] = pattern.split("*");
    return (
      origin.startsWith(start) &&
      origin.endsWith(end) &&
      SUBDOMAINS.test(origin.slice(start.length, -end.length))
    );
  });
}

function isOriginPattern(pattern: string): boolean {
  const isWildcard = /^https?:\/\/\*\.[^.]+\./.test(pattern);
  const example = isWildcard ? pattern.replace("*", "any") : pattern;
  if (example.includes("*") || !/^https?:\/\//.test(example)) return false;
  // Only the form that browsers send can ever match: no path, no capitals, no default port.
  return URL.canParse(example) && new URL(example).origin === example;
}
