import type { Principal } from "../accounts/principal.ts";
import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";

/** The part of the Workers rate-limit binding that is used. */
export interface RateLimiter {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

/** What the binding allows, as it is declared beside it. */
export interface RatePolicy {
  readonly requests: number;
  readonly seconds: number;
}

/** `[vars] RATE_LIMIT`: `2000/10` is 2000 requests in 10 seconds. @throws TypeError */
export function parseRatePolicy(text: string): RatePolicy {
  const [, requests = "", seconds = ""] = /^([1-9]\d{0,8})\/(10|60)$/.exec(text) ?? [];
  if (requests === "") throw new TypeError('RATE_LIMIT is like "2000/10".');
  return { requests: Number(requests), seconds: Number(seconds) };
}

/** Some 100 bytes each. */
const MAX_CALLERS = 10_000;

/**
 * Who asks too often, as far as this isolate has heard. The binding counts each request after the answer to
 * it, so that nobody waits for it: what runs when a limit is reached still goes through.
 */
export class RateLimits {
  readonly #limiter: RateLimiter | undefined;
  readonly #policy: RatePolicy;
  readonly #refusedUntil = new Map<string, number>();

  /** @param limiter without one nobody asks too often */
  constructor(limiter: RateLimiter | undefined, policy: RatePolicy) {
    this.#limiter = limiter;
    this.#policy = policy;
  }

  /** @throws NearsideError `rate_limited` */
  check(caller: string, now: number): void {
    const until = this.#refusedUntil.get(caller) ?? 0;
    if (now >= until) return;
    throw new NearsideError("rate_limited", "You ask too often; wait a little.", {
      retryAfterSeconds: Math.ceil((until - now) / 1_000),
    });
  }

  /** Counts one more request, of a caller who was checked. */
  count(caller: string, context: Pick<Context, "now" | "waitUntil">): void {
    if (this.#limiter === undefined) return;
    context.waitUntil(this.#hear(this.#limiter, caller, context));
  }

  /** `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers); the binding does not tell what remains. */
  get policy(): string | undefined {
    const { requests, seconds } = this.#policy;
    return this.#limiter === undefined ? undefined : `"burst";q=${requests};w=${seconds}`;
  }

  async #hear(limiter: RateLimiter, caller: string, { now }: Pick<Context, "now">): Promise<void> {
    // A limiter that fails lets everybody through: leases bound what that can cost.
    const { success } = await limiter.limit({ key: caller }).catch(() => ({ success: true }));
    if (success) return;
    const windowMs = this.#policy.seconds * 1_000;
    this.#makeRoom(now());
    // The binding's windows are aligned to the clock.
    this.#refusedUntil.set(caller, (Math.floor(now() / windowMs) + 1) * windowMs);
  }

  /** Whose window is over goes; where nobody's is, whoever was refused first. */
  #makeRoom(now: number): void {
    if (this.#refusedUntil.size < MAX_CALLERS) return;
    for (const [caller, until] of this.#refusedUntil) {
      if (until <= now) this.#refusedUntil.delete(caller);
    }
    const [oldest] = this.#refusedUntil.keys();
    if (oldest !== undefined && this.#refusedUntil.size >= MAX_CALLERS) {
      this.#refusedUntil.delete(oldest);
    }
  }
}

/** Who asks, as far as that is known before anything is looked up. */
export function addressOf({ headers }: Request): string {
  return `ip:${networkOf(headers.get("cf-connecting-ip") ?? "")}`;
}

/** Each user of an account's key has their own limit. */
export function callerOf({ account, keyId, user, tokenId }: Principal): string {
  return `${account.id}/${keyId}/${user ?? tokenId ?? ""}`;
}

/** Whoever has one address of IPv6 has the 2^64 of its network. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.toLowerCase().split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const left = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const network = [...groups, ...Array<string>(left).fill("0"), ...after].slice(0, 4);
  return `${network.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
