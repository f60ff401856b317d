import { decodeJwt } from "jose";

import type { VerifyDeps } from "./client-token.ts";
import { hashKey } from "./key.ts";
import type { Principal } from "./principal.ts";

/** About 0.5 kB each. */
const MAX_TOKENS = 2_000;

interface Verified {
  readonly principal: Principal;
  readonly expiresAt: number;
}

/**
 * Client tokens that were verified, by their digest, until they expire: a signature costs more than all else
 * that is asked of a caller. A token is verified again once its account has been read again, so a signer that
 * is taken away is refused as soon as a key that is revoked.
 */
export class TokenCache {
  readonly #verified = new Map<string, Verified>();

  /** @throws what `verify` throws; a refusal is not kept */
  async get(token: string, deps: VerifyDeps, verify: () => Promise<Principal>): Promise<Principal> {
    const hash = await hashKey(token);
    const known = this.#verified.get(hash);
    if (known !== undefined && deps.now() < known.expiresAt) {
      const { account } = known.principal;
      if ((await deps.account(account.id)) === account) return known.principal;
    }
    this.#verified.delete(hash);
    const principal = await verify();
    const { exp = 0 } = decodeJwt(token);
    if (this.#verified.size >= MAX_TOKENS) {
      for (const oldest of this.#verified.keys()) {
        this.#verified.delete(oldest);
        break;
      }
    }
    this.#verified.set(hash, { principal, expiresAt: exp * 1_000 });
    return principal;
  }
}
