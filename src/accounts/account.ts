import * as v from "valibot";

import { ModelName } from "../catalog/manifest.ts";

/** Whole nano-dollars. 2^53 of them are nine million dollars. */
const Nano = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const ID_LENGTH = 16;

/** `acc_` or `key_`, and 80 random bits. An id is no secret. */
export function newId(prefix: "acc_" | "key_"): string {
  let id: string = prefix;
  for (const byte of crypto.getRandomValues(new Uint8Array(ID_LENGTH))) id += BASE32[byte % 32];
  return id;
}

export const AccountId = v.pipe(v.string(), v.regex(/^acc_[a-z2-7]{16}$/));

const Coordinate = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/));
const JWK_HINTS = {
  use: v.exactOptional(v.literal("sig")),
  kid: v.exactOptional(v.string()),
};

/** A public key: strict, so that a private one (`d`) is refused and not kept. */
export const SignerJwk = v.variant("kty", [
  v.strictObject({
    kty: v.literal("OKP"),
    crv: v.literal("Ed25519"),
    x: Coordinate,
    alg: v.exactOptional(v.picklist(["EdDSA", "Ed25519"])),
    ...JWK_HINTS,
  }),
  v.strictObject({
    kty: v.literal("EC"),
    crv: v.literal("P-256"),
    x: Coordinate,
    y: Coordinate,
    alg: v.exactOptional(v.literal("ES256")),
    ...JWK_HINTS,
  }),
]);
export type SignerJwk = v.InferOutput<typeof SignerJwk>;

/** A key of the customer's backend, which mints client tokens with it. */
export const Signer = v.strictObject({
  kid: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/)),
  jwk: SignerJwk,
  /** What its tokens count as. */
  kind: v.optional(v.picklist(["live", "test"]), "live"),
});
export type Signer = v.InferOutput<typeof Signer>;

/** Who pays. */
export const Account = v.strictObject({
  id: AccountId,
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  /** `free`, `pay` or `enterprise`; operators may have others. */
  plan: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/)),
  currency: v.literal("USD"),
  billing: v.picklist(["prepaid", "postpaid"]),
  /** What may be spent per day and month (UTC). */
  limits: v.strictObject({ dayNano: v.optional(Nano), monthNano: v.optional(Nano) }),
  /** All models when absent. */
  models: v.optional(v.array(ModelName)),
  status: v.picklist(["active", "suspended"]),
  signers: v.optional(
    v.pipe(
      v.array(Signer),
      v.maxLength(16),
      v.check(
        (signers) => new Set(signers.map(({ kid }) => kid)).size === signers.length,
        "two signers have the same kid",
      ),
    ),
  ),
  /** What an isolate may give on credit while the ledger can't be reached. */
  grace: v.optional(v.strictObject({ nano: Nano })),
});
export type Account = v.InferOutput<typeof Account>;

/** Where the account stands in KV. */
export const accountKey = (id: string): string => `account:${id}`;
