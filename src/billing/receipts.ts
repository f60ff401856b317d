import * as v from "valibot";

import type { Log } from "../telemetry/log.ts";
import {
  type Receipt,
  ReceiptKey,
  type ReceiptKeySet,
  ReceiptSigner,
  publicKeys,
  signingKey,
} from "./receipt.ts";

const KeySet = v.object({ keys: v.array(v.looseObject({ kid: v.string() })) });

/** Private ones: the next can be there before its time. */
const SigningKeys = v.object({ keys: v.pipe(v.array(ReceiptKey), v.minLength(1)) });

/**
 * What an isolate signs receipts with. With the digests of both bodies a receipt takes 0.1 ms in workerd (the
 * benchmark `admission`), so it is made before the answer, and comes with what it is for.
 */
export class Receipts {
  readonly #keys: readonly ReceiptKey[];
  readonly #older: ReceiptKeySet["keys"];
  readonly #signers = new Map<ReceiptKey, ReceiptSigner>();

  /**
   * @param keys a private JWK (Ed25519) with a `kid`, or a JWKS of several; without one there are no receipts
   * @param older a JWKS of the public keys that signed before
   * @throws Error when one is there and is none
   */
  constructor(keys: string | undefined, older: string | undefined) {
    this.#keys = keys ? keysOf(JSON.parse(keys)) : [];
    this.#older = older ? v.parse(KeySet, JSON.parse(older)).keys : [];
  }

  /**
   * The JWS, by the key whose time it is. The model has run already: where no key signs, that is logged, and the
   * answer comes without a receipt.
   */
  async sign(receipt: Receipt, now: number, log: Log): Promise<string | undefined> {
    if (this.#keys.length === 0) return undefined;
    try {
      return await (await this.#signerAt(now)).sign(receipt);
    } catch (cause) {
      log.error("receipt_not_signed", cause, { requestId: receipt.requestId });
      return undefined;
    }
  }

  /** For `/.well-known/jwks.json`. */
  get publicKeys(): ReceiptKeySet {
    const own = publicKeys(this.#keys).keys;
    const kids = new Set(own.map(({ kid }) => kid));
    return { keys: [...own, ...this.#older.filter(({ kid }) => !kids.has(kid))] };
  }

  async #signerAt(now: number): Promise<ReceiptSigner> {
    const key = signingKey(this.#keys, now);
    const known = key && this.#signers.get(key);
    if (known !== undefined) return known;
    const signer = await ReceiptSigner.of(this.#keys, now);
    if (key !== undefined) this.#signers.set(key, signer);
    return signer;
  }
}

function keysOf(json: unknown): readonly ReceiptKey[] {
  const isSet = typeof json === "object" && json !== null && "keys" in json;
  return isSet ? v.parse(SigningKeys, json).keys : [v.parse(ReceiptKey, json)];
}
