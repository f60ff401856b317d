import { bearerToken, isAdmin } from "../accounts/admin-token.ts";
import { NearsideError } from "../errors.ts";
import type { ControlContext } from "./context.ts";

const ACCESS_HEADER = "cf-access-jwt-assertion";
const ACTOR_HEADER = "nearside-actor";
const ACTOR = /^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/;

type Keys = Pick<ControlContext, "adminToken" | "access" | "now">;

/**
 * Who asks: `Authorization: Bearer <admin token>` (with the name that `Nearside-Actor` gives), else whoever
 * Cloudflare Access vouches for.
 *
 * @throws NearsideError `unauthorized` with what to do about it, `invalid_request` for an unusable name
 */
export async function actorOf(request: Request, keys: Keys): Promise<string> {
  const hasToken = keys.adminToken !== undefined && keys.adminToken !== "";
  if (!hasToken && keys.access === undefined) {
    throw unauthorized(
      "This control plane has no operator yet: set the secret ADMIN_TOKEN " +
        "(npx wrangler secret put ADMIN_TOKEN --config workers/control/wrangler.toml), " +
        "or ACCESS_TEAM_DOMAIN and ACCESS_AUDIENCE.",
    );
  }
  if (isAdmin(request, keys.adminToken)) return namedAdmin(request);
  const assertion = request.headers.get(ACCESS_HEADER);
  if (assertion !== null && keys.access !== undefined && bearerToken(request) === undefined) {
    return keys.access(assertion, keys.now());
  }
  if (request.headers.has("authorization")) {
    throw unauthorized(
      hasToken
        ? "This is not the admin token; send Authorization: Bearer <ADMIN_TOKEN>, the secret of this control plane."
        : "This control plane has no admin token; sign in through Cloudflare Access instead.",
    );
  }
  throw unauthorized(
    hasToken
      ? "Send the admin token: Authorization: Bearer <ADMIN_TOKEN>."
      : "Sign in through Cloudflare Access, which adds Cf-Access-Jwt-Assertion.",
  );
}

function namedAdmin(request: Request): string {
  const name = request.headers.get(ACTOR_HEADER);
  if (name === null) return "admin token";
  if (ACTOR.test(name)) return `${name} (admin token)`;
  throw new NearsideError(
    "invalid_request",
    "Nearside-Actor must be 1 to 64 printable characters of ASCII.",
    { field: ACTOR_HEADER },
  );
}

function unauthorized(words: string): NearsideError {
  return new NearsideError("unauthorized", words, { field: "authorization" });
}
