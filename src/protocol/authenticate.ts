import { isAdmin } from "../accounts/admin-token.ts";
import { AuthError } from "../accounts/auth-error.ts";
import { authenticate } from "../accounts/authenticate.ts";
import type { Scope } from "../accounts/key-record.ts";
import { type Principal, authorize } from "../accounts/principal.ts";
import type { Context } from "../context.ts";
import { pricesOf } from "./charge.ts";
import type { Decided } from "./decide.ts";
import { addressOf, callerOf } from "./rate-limit.ts";

/** Callers without a key: refused, let in for what has no price, or for everything. They are never billed. */
export const ANONYMOUS = ["refused", "unpriced", "allowed"] as const;
export type Anonymous = (typeof ANONYMOUS)[number];

/** `[vars] ANONYMOUS`; what is something else lets nobody in. */
export function parseAnonymous(text: string | undefined): Anonymous {
  return ANONYMOUS.find((each) => each === text) ?? "refused";
}

/**
 * Says who asks, if they may, and not too often: undefined is whoever shows no key where that is allowed, and the
 * operator. Neither is billed.
 *
 * @throws AuthError, NearsideError `rate_limited`
 */
export async function identify(
  context: Context,
  request: Request,
  wanted: { readonly scope: Scope; readonly model?: string },
): Promise<Principal | undefined> {
  const { adminToken, anonymous, rates } = context.isolate;
  const address = addressOf(request);
  // Before anything is looked up: each made-up key costs a read.
  rates.check(address, context.now());
  if (isAdmin(request, adminToken)) return undefined;
  if (anonymous !== "refused" && showsNoKey(request)) {
    rates.count(address, context);
    return undefined;
  }
  const principal = await authenticated(context, request, address);
  const caller = callerOf(principal);
  rates.check(caller, context.now());
  rates.count(caller, context);
  authorize(principal, wanted);
  return principal;
}

/** An address is charged with whoever is not let in: many customers may share it, and each has a limit of theirs. */
async function authenticated(
  context: Context,
  request: Request,
  address: string,
): Promise<Principal> {
  const { directory, rates } = context.isolate;
  try {
    return await authenticate(request, directory.at(context.now()));
  } catch (error) {
    if (error instanceof AuthError) rates.count(address, context);
    throw error;
  }
}

/**
 * Keeps callers without a key from what costs something, where they are let in for the rest.
 *
 * @throws AuthError `key_missing`
 */
export function refuseUnpaid(
  { isolate: { anonymous, adminToken }, now }: Context,
  request: Request,
  decided: Pick<Decided, "principal" | "catalog" | "manifest">,
): void {
  if (decided.principal !== undefined || anonymous !== "unpriced") return;
  if (isAdmin(request, adminToken) || pricesOf(decided, now()).length === 0) return;
  throw new AuthError(
    "key_missing",
    `"${decided.manifest.name}" costs something; show a key: Authorization: Bearer nsk_live_….`,
    { field: "authorization" },
  );
}

/** Who pays for what they ask: nobody is allowed without a key here. @throws AuthError */
export async function identifyPayer(
  context: Context,
  request: Request,
  scope: Scope,
): Promise<Principal> {
  const principal = await identify(context, request, { scope });
  if (principal !== undefined) return principal;
  throw new AuthError(
    "key_missing",
    "Show the key of an account: Authorization: Bearer nsk_live_….",
    {
      field: "authorization",
    },
  );
}

/** A key of ours or a client token, or what was one before somebody quoted, cut or capitalised it. */
const LIKE_OURS =
  /nsk_|(?:live|test)_[0-9a-z]{8}|(?:^|[^0-9a-z])[0-9a-z]{28}[^0-9a-z]*$|eyJ[\w-]+\.|[\w-]+\.[\w-]+\./i;

/** What looks like no key of ours is none: clients of other services must send something. */
function showsNoKey({ headers }: Request): boolean {
  const shown = [headers.get("authorization"), headers.get("x-api-key")];
  return shown.every((text) => text === null || !LIKE_OURS.test(text.replace(/^bearer\s+/i, "")));
}
